/**
 * Makes `dist/`, which is what gets published, from what tsc has put into `build/`: one ES module and one declaration
 * file for each path of package.json `exports`, chunks for what they share or load later, and the preload once more as
 * one CommonJS file, so that `--require` loads no ES module.
 *
 * A path of `exports` or `bin` that leads to `dist/NAME.js` is made from the first of these that exists: `src/NAME.ts`,
 * `src/NAME/index.ts`, `adapters/NAME.ts`, `adapters/NAME/index.ts`, `NAME/index.ts`.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transformSync } from 'esbuild'
import { rolldown, type InputOptions, type OutputOptions, type Plugin, type RolldownOutput } from 'rolldown'
import { dts } from 'rolldown-plugin-dts'
import { writeNotices } from './notices.js'
import { PAGE_FILES } from './page.js'

const ROOT = join(import.meta.dirname, '..', '..')
const BUILD = join(ROOT, 'build')
const DIST = join(ROOT, 'dist')

const COMMON = { platform: 'node', external: isExternal } as const
/** What entry points share is one chunk. What is loaded by `import()` stays apart. */
const SHARED = {
  groups: [{ name: 'shared', tags: ['$initial'], minShareCount: 2 }],
} as const satisfies OutputOptions['codeSplitting']
/**
 * What most processes never need lies beside the CommonJS preload in a file of its own, loaded when the first of its
 * functions is called. Whoever calls one stands an error, because the process may be out of descriptors.
 */
const LATER = ['kernel/views', 'kernel/count-orphans', 'owner/stacks/map-file'].map((name) =>
  join(BUILD, 'src', `${name}.js`),
)
const LATER_FILE = 'chunks/later.cjs'
const METRICS = /\/report\/(?:metrics|prometheus)\.js$/
/** What the report endpoint and the exporters share is loaded by nobody else. */
const SPLIT = {
  groups: [
    { ...SHARED.groups[0], test: (id) => !METRICS.test(id), priority: 1 },
    { name: 'metrics', test: METRICS },
  ],
} satisfies OutputOptions['codeSplitting']
/** The names of functions and classes stay, for stack traces. */
const MINIFY = {
  compress: { keepNames: { function: true, class: true } },
  mangle: { toplevel: false, keepNames: true },
  codegen: { removeWhitespace: false },
} as const
const OUTPUT = { dir: DIST, comments: false } as const satisfies OutputOptions

/** Less text is less to scan at start. Lines stay short, because Node prints the whole line of an uncaught error. */
const SHORT_LINES: Plugin = {
  name: 'short-lines',
  generateBundle(_options, bundle) {
    for (const chunk of Object.values(bundle)) {
      if (chunk.type === 'chunk') {
        chunk.code = transformSync(chunk.code, {
          minifyWhitespace: true,
          lineLimit: 200,
          target: 'node20',
        }).code
      }
    }
  },
}

const ALL_LATER: Plugin = {
  name: 'all-later',
  resolveId: (source) => (source === 'all-later' ? source : null),
  load: (id) =>
    id === 'all-later' ? LATER.map((file) => `export * from ${JSON.stringify(file)}`).join('\n') : null,
}

/** In place of a module of `LATER` stands one whose functions load the file of all. Bundlers follow a plain `require()`. */
const TO_LATER: Plugin = {
  name: 'to-later',
  async resolveId(source, importer) {
    if (source === `./${LATER_FILE}`) return { id: source, external: true }
    const resolved = await this.resolve(source, importer, { skipSelf: true })
    return resolved !== null && LATER.includes(resolved.id) ? `${resolved.id}?later` : null
  },
  async load(id) {
    if (!id.endsWith('?later')) return null
    const names = Object.keys((await import(id.slice(0, -'?later'.length))) as object)
    return names
      .map(
        (name) => `export function ${name}(...args) { return require('./${LATER_FILE}').${name}(...args) }`,
      )
      .join('\n')
  },
}

await bundle()

async function bundle(): Promise<void> {
  rmSync(DIST, { recursive: true, force: true })
  const { exports, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest
  const names = namesIn(exports)
  const modules = await write(
    { input: inputs([...names, ...namesIn(bin)], '.js'), plugins: [SHORT_LINES] },
    {
      format: 'esm',
      entryFileNames: '[name].js',
      chunkFileNames: 'chunks/[name].js',
      codeSplitting: SPLIT,
      minify: MINIFY,
    },
  )
  const others = await Promise.all([
    write(
      {
        input: inputs(['register'], '.js'),
        plugins: [chunksOf(modules), TO_LATER, SHORT_LINES],
      },
      { format: 'cjs', entryFileNames: '[name].cjs', codeSplitting: false, minify: MINIFY },
    ),
    write(
      { input: { later: 'all-later' }, plugins: [ALL_LATER, SHORT_LINES] },
      { format: 'cjs', entryFileNames: LATER_FILE, minify: MINIFY },
    ),
    write(
      { input: inputs(names, '.d.ts'), plugins: [dts({ dtsInput: true, tsconfig: false })] },
      {
        format: 'esm',
        entryFileNames: '[name].d.ts',
        chunkFileNames: 'chunks/[name].d.ts',
        codeSplitting: SHARED,
      },
    ),
  ])
  writeFileSync(join(DIST, 'register.d.cts'), 'export {}\n')
  const chunks = [modules, ...others].flatMap(({ output }) => output.filter((file) => file.type === 'chunk'))
  writeNotices([...PAGE_FILES, ...chunks.flatMap(({ moduleIds }) => moduleIds)])
  const schema: unknown = JSON.parse(readFileSync(join(ROOT, 'report.schema.json'), 'utf8'))
  writeFileSync(join(DIST, 'report.schema.json'), JSON.stringify(schema))
}

async function write(
  input: { readonly input: Record<string, string>; readonly plugins?: InputOptions['plugins'] },
  output: OutputOptions,
): Promise<RolldownOutput> {
  const made = await rolldown({ ...COMMON, ...input })
  try {
    return await made.write({ ...OUTPUT, ...output })
  } finally {
    await made.close()
  }
}

/** What comes from elsewhere: Node's own modules and the packages that types are taken from. */
function isExternal(id: string): boolean {
  return id.startsWith('node:')
}

interface Manifest {
  readonly exports: object
  readonly bin: object
}

/** The names of the files that a part of package.json leads to, without folder and extension. */
function namesIn(part: object): string[] {
  const found = JSON.stringify(part).matchAll(/"\.\/dist\/([^"]+)\.js"/g)
  return [...new Set([...found].map(([, name]) => name!))]
}

function inputs(names: readonly string[], extension: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, inputOf(name, extension)]))
}

function inputOf(name: string, extension: string): string {
  const candidates = ['src', 'adapters', ''].flatMap((folder) => [
    join(BUILD, folder, name + extension),
    join(BUILD, folder, name, `index${extension}`),
  ])
  const found = candidates.find((file) => existsSync(file))
  if (found === undefined) throw new Error(`no source for dist/${name}.js of package.json`)
  return found
}

/** What the CommonJS preload loads by `import()` is the chunk that the ES modules have of it. */
function chunksOf({ output }: RolldownOutput): Plugin {
  const fileOf = new Map(
    output.flatMap((chunk) =>
      chunk.type === 'chunk' && chunk.facadeModuleId !== null ? [[chunk.facadeModuleId, chunk.fileName]] : [],
    ),
  )
  return {
    name: 'chunks',
    async resolveId(source, importer, { kind }) {
      if (kind !== 'dynamic-import') return null
      const resolved = await this.resolve(source, importer)
      const file = fileOf.get(resolved?.id ?? '')
      return file === undefined ? null : { id: `./${file}`, external: true }
    },
  }
}
