/**
 * Makes the code of the report page from `page/`: one script, with the chart library in it, and one style sheet, as strings.
 * `PAGE_FILES` are what it is made of.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildSync } from 'esbuild'

export const PAGE_FILES: string[] = []

const ROOT = join(import.meta.dirname, '..', '..')

const texts = {
  PAGE_SCRIPT: `/*! with uPlot, Copyright (c) 2022 Leon Sorokin, MIT licence */\n${bundle('main.ts')}`,
  PAGE_STYLE: bundle('style.css'),
}
const lines = Object.entries(texts).map(([name, text]) => `export const ${name} = \`${escaped(text)}\`\n`)
writeFileSync(join(ROOT, 'build', 'src', 'report', 'page-code.js'), lines.join(''))

function bundle(name: string): string {
  const { outputFiles, metafile } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: [join(ROOT, 'page', name)],
    bundle: true,
    minify: true,
    format: 'iife',
    target: ['es2022', 'safari16', 'chrome110', 'firefox110'],
    lineLimit: 200,
    legalComments: 'none',
    metafile: true,
    write: false,
  })
  PAGE_FILES.push(...Object.keys(metafile.inputs).map((file) => join(ROOT, file)))
  return outputFiles[0]!.text
}

function escaped(text: string): string {
  return text.replace(/[\\`]|\$\{/g, '\\$&')
}
