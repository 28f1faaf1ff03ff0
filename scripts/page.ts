/** Makes the code of the report page from `page/`: one script, with the chart library in it, and one style sheet, as strings. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildSync } from 'esbuild'

const ROOT = join(import.meta.dirname, '..', '..')

const texts = {
  PAGE_SCRIPT: `/*! with uPlot, Copyright (c) 2022 Leon Sorokin, MIT licence */\n${bundle('main.ts')}`,
  PAGE_STYLE: bundle('style.css'),
}
const lines = Object.entries(texts).map(([name, text]) => `export const ${name} = \`${escaped(text)}\`\n`)
writeFileSync(join(ROOT, 'build', 'src', 'report', 'page-code.js'), lines.join(''))

function bundle(name: string): string {
  const { outputFiles } = buildSync({
    entryPoints: [join(ROOT, 'page', name)],
    bundle: true,
    minify: true,
    format: 'iife',
    target: ['es2022', 'safari16', 'chrome110', 'firefox110'],
    lineLimit: 200,
    legalComments: 'none',
    write: false,
  })
  return outputFiles[0]!.text
}

function escaped(text: string): string {
  return text.replace(/[\\`]|\$\{/g, '\\$&')
}
