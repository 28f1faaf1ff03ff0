/** Holds the house together: who may know whom, what is pure, and where the secrets of Node's sockets are kept. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { PACKAGE_ROOT } from './support/package-root.js'
import { importsOf, readSources, strip, type SourceFile } from './support/source-code.js'

interface Layer {
  readonly name: string
  readonly files: RegExp
  /** The layers that it may load; its own always. */
  readonly uses: readonly string[]
  /** The layers of which it may know the types alone. */
  readonly knows?: readonly string[]
}

/**
 * core <- judge <- socket <- owner <- pairs <- act <- guard <- install <- index <- adapters. `base` is what everybody may use;
 * kernel, report and server stand on core. What is optional (drain, lint, testing, exporters, fleet) stands above the guard; the command line beside it, in a process of its own.
 */
const LAYERS: readonly Layer[] = [
  { name: 'core', files: /^src\/core\//, uses: [] },
  { name: 'base', files: /^src\/base\//, uses: ['core'] },
  { name: 'judge', files: /^src\/judge\//, uses: ['core'] },
  { name: 'report', files: /^src\/report\//, uses: ['core'] },
  { name: 'kernel', files: /^src\/kernel\//, uses: ['core', 'base'] },
  { name: 'options', files: /^src\/options\//, uses: ['core', 'base', 'judge'], knows: ['kernel', 'owner'] },
  { name: 'socket', files: /^src\/socket\//, uses: ['core', 'base'], knows: ['judge', 'kernel', 'options'] },
  { name: 'owner', files: /^src\/owner\//, uses: ['core', 'base', 'socket'], knows: ['options'] },
  { name: 'pairs', files: /^src\/pairs\//, uses: ['core', 'judge', 'report', 'socket', 'owner'] },
  {
    name: 'act',
    files: /^src\/act\//,
    uses: ['core', 'base', 'judge', 'socket'],
    knows: ['kernel', 'pairs', 'options'],
  },
  { name: 'incident', files: /^src\/incident\//, uses: ['core', 'base', 'report'], knows: ['options'] },
  { name: 'server', files: /^src\/server\//, uses: ['core', 'base', 'options', 'report', 'guard'] },
  {
    name: 'guard',
    files: /^src\/guard\//,
    uses: [
      'core',
      'base',
      'judge',
      'report',
      'kernel',
      'options',
      'socket',
      'owner',
      'pairs',
      'act',
      'server',
      'incident',
    ],
  },
  { name: 'install', files: /^src\/install\.ts$/, uses: ['base', 'options', 'socket', 'guard'] },
  {
    name: 'index',
    files: /^src\/index\.ts$/,
    uses: ['core', 'base', 'judge', 'kernel', 'options', 'owner', 'act', 'guard', 'server', 'install'],
  },
  { name: 'entry', files: /^src\/register\.ts$/, uses: ['base', 'options', 'install'] },
  { name: 'drain', files: /^src\/drain\//, uses: ['core', 'base', 'options', 'socket'], knows: ['guard'] },
  {
    name: 'lint',
    files: /^src\/lint\//,
    uses: ['core', 'base', 'kernel', 'options', 'socket', 'owner', 'guard'],
  },
  { name: 'fleet', files: /^src\/fleet\//, uses: ['core', 'base', 'options', 'report', 'server'] },
  {
    name: 'exporters',
    files: /^src\/(?:prom-client|opentelemetry)\//,
    uses: ['core', 'base', 'options', 'report', 'guard'],
  },
  {
    name: 'testing',
    files: /^src\/testing\//,
    uses: ['core', 'base', 'judge', 'options', 'guard', 'install'],
  },
  {
    name: 'contract',
    files: /^src\/adapter\.ts$/,
    uses: ['core', 'base', 'options', 'socket', 'drain', 'guard', 'install', 'server', 'owner'],
  },
  { name: 'adapters', files: /^adapters\//, uses: ['contract'] },
  {
    name: 'cli',
    files: /^cli\//,
    uses: ['core', 'base', 'kernel', 'options', 'report', 'server', 'fleet'],
    knows: ['index'],
  },
]

const sources = readSources('src', 'adapters', 'cli')

function layerOf(path: string): Layer | undefined {
  return LAYERS.find(({ files }) => files.test(path))
}

function inLayers(...names: string[]): SourceFile[] {
  return sources.filter(({ path }) => names.includes(layerOf(path)?.name ?? ''))
}

/** One failure for each violation, so that the report reads as a list of what to do. */
function allow(t: Test, violations: readonly string[], rule: string): void {
  for (const violation of violations) t.fail(`${violation} (${rule})`)
  t.pass(rule)
}

t.test('every file belongs to one layer', async (t) => {
  t.ok(sources.length > 40, 'the sources were found')
  for (const { path } of sources) {
    t.equal(LAYERS.filter(({ files }) => files.test(path)).length, 1, path)
  }
})

t.test('nobody knows a layer above', async (t) => {
  const violations = sources.flatMap(({ path, imports }) => {
    const { name, uses, knows = [] } = layerOf(path)!
    return imports.flatMap(({ target, isTypeOnly }) => {
      const layer = layerOf(target)?.name
      if (layer === undefined || layer === name || uses.includes(layer)) return []
      if (isTypeOnly && knows.includes(layer)) return []
      return [`${path} (${name}) ${isTypeOnly ? 'knows' : 'loads'} ${target} (${layer})`]
    })
  })
  allow(t, violations, 'imports point downwards')
})

t.test('every import leads somewhere', async (t) => {
  const paths = new Set(sources.map(({ path }) => path))
  const violations = sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ target }) => /\.[cm]?ts$/.test(target) && !paths.has(target))
      .map(({ target }) => `${path}: ${target}`),
  )
  allow(t, violations, 'relative imports name a source')
})

t.test('no module waits for itself to be loaded', async (t) => {
  const loads = new Map(
    sources.map(({ path, imports }) => [
      path,
      imports.filter(({ isTypeOnly }) => !isTypeOnly).map(({ target }) => target),
    ]),
  )
  const violations: string[] = []
  const done = new Set<string>()
  function visit(path: string, trail: readonly string[]): void {
    if (trail.includes(path)) violations.push([...trail.slice(trail.indexOf(path)), path].join(' -> '))
    if (trail.includes(path) || done.has(path)) return
    for (const target of loads.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of loads.keys()) visit(path, [])
  allow(t, violations, 'no cycle of loaded modules')
})

const NOT_PURE = [
  'process',
  'performance',
  'console',
  'globalThis',
  'global',
  'Buffer',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'require',
  'fetch',
  'crypto',
]

/** A name that the file itself gives to something, as in `const { process } = report`, is not the global. */
function declares(code: string, name: string): boolean {
  return new RegExp(`\\b(const|let)\\s*(\\{[^}=]*)?\\b${name}\\b|[({,]\\s*${name}\\s*[,}]`).test(code)
}

function impuritiesIn({ code, imports }: Pick<SourceFile, 'code' | 'imports'>): string[] {
  const globals = NOT_PURE.filter(
    (name) => new RegExp(`(?<![.\\w$])${name}(?![\\w$]|\\??:)`).test(code) && !declares(code, name),
  )
  const outside = imports.map(({ target }) => target).filter((target) => !target.startsWith('src/'))
  const clock = [
    /\bDate\.now\b/,
    /\bnew Date\(\s*\)/,
    /(?<!new )\bDate\(/,
    /\bMath\.random\b/,
    /\bimport\.meta\b/,
  ]
  return [...globals, ...outside, ...clock.flatMap((pattern) => pattern.exec(code)?.[0] ?? [])]
}

t.test('core, judge and report are pure: no module of Node, no clock, no console, no process', async (t) => {
  const violations = inLayers('core', 'judge', 'report').flatMap((source) =>
    impuritiesIn(source).map((impurity) => `${source.path}: ${impurity}`),
  )
  allow(t, violations, 'the same in, the same out')
})

t.test('what is not pure is recognized', async (t) => {
  const judge = (text: string) =>
    impuritiesIn({ code: strip(text, false), imports: importsOf(strip(text, true), 'src/core/x.ts') })
  t.same(judge("import { readFileSync } from 'node:fs'"), ['node:fs'])
  t.same(judge("import type { Socket } from 'node:net'"), ['node:net'])
  t.same(judge('const pid = process.pid'), ['process'])
  t.same(judge('function f() { return performance.now() }'), ['performance'])
  t.same(judge('const at = Date.now()'), ['Date.now'])
  t.same(judge('const at = new Date()'), ['new Date()'])
  t.same(judge('const at = new Date(0)'), [])
  t.same(judge('const { process } = report; use(process.pid)'), [])
  t.same(judge('const shape = { process: parts.process }'), [])
  t.same(judge('// console.log(process)\nconst a = "console" + `${b} process` + /console/'), [])
  t.same(judge('const a = `${console.log(`x ${1}`)}`'), ['console'])
})

t.test('adapters take what others can import too, and of what they adapt the types alone', async (t) => {
  const violations = inLayers('adapters').flatMap(({ path, imports }) =>
    imports
      .filter(({ target, isTypeOnly }) => {
        const isOwn = layerOf(target) !== undefined
        return !isOwn && !isTypeOnly && !isBuiltin(target)
      })
      .map(({ target }) => `${path} loads ${target}`),
  )
  allow(t, violations, 'import type')
})

function isBuiltin(target: string): boolean {
  return target.startsWith('node:') && builtinModules.includes(target.slice('node:'.length))
}

/** Libraries that the build puts into the package's own files. */
const BUNDLED = ['@jridgewell/trace-mapping']

t.test('nothing is loaded from outside but Node, and what is optional only when it is needed', async (t) => {
  const manifest = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as object
  t.notOk('dependencies' in manifest || 'optionalDependencies' in manifest, 'no runtime dependency')
  t.notOk('peerDependencies' in manifest, 'a range would keep npm from installing it beside another version')
  const violations = sources.flatMap(({ path, bare, imports }) => {
    // `import x from 'koffi'` would fail where it is not installed; require() inside of a function can be caught.
    const required = new Set([...bare.matchAll(/\brequire\w*\(\s*['"]([^'"]+)/g)].map(([, target]) => target))
    return imports
      .filter(({ target, isTypeOnly }) => !isTypeOnly && layerOf(target) === undefined)
      .filter(({ target }) => !isBuiltin(target) && !required.has(target) && !BUNDLED.includes(target))
      .map(({ target }) => `${path} loads ${target}`)
  })
  allow(t, violations, 'Node alone')
  const withoutPrefix = sources.flatMap(({ path, imports }) =>
    imports.filter(({ target }) => builtinModules.includes(target)).map(({ target }) => `${path}: ${target}`),
  )
  allow(t, withoutPrefix, 'modules of Node have the prefix node:')
})

const SOCKET_FIELDS = 'src/socket/fields.ts'

/** What lib/net.js, lib/_http_*.js, lib/internal/tls and the streams keep on a socket for themselves. */
const PRIVATE_FIELDS = [
  '_bytesDispatched',
  '_events',
  '_getpeername',
  '_getsockname',
  '_handle',
  '_host',
  '_httpMessage',
  '_parent',
  '_pendingData',
  '_pendingEncoding',
  '_peername',
  '_readableState',
  '_sockname',
  '_tlsOptions',
  '_unrefTimer',
  '_writableState',
]
/** Lists what is read, for tests. */
const FOREIGN_FIELDS = 'src/core/foreign.ts'
const PRIVATE_FIELD = new RegExp(`\\b(${PRIVATE_FIELDS.join('|')})\\b`, 'g')

t.test('the private fields of sockets are known in one file', async (t) => {
  const violations = sources
    .filter(({ path }) => path !== SOCKET_FIELDS && path !== FOREIGN_FIELDS)
    .flatMap(({ path, bare }) => [...bare.matchAll(PRIVATE_FIELD)].map(([found]) => `${path}: ${found}`))
  allow(t, violations, 'the capability checks of fields.ts guard them')
  const { bare } = sources.find(({ path }) => path === SOCKET_FIELDS)!
  t.match(bare, /\._handle\b/, 'and there they are')
})

/** A line that holds more than a comment or nothing. */
function linesOfCode({ code }: SourceFile): number {
  return code.split('\n').filter((line) => line.trim() !== '').length
}

t.test('files stay small and near the door', async (t) => {
  const violations = sources.flatMap((source) => [
    ...(linesOfCode(source) > 300 ? [`${source.path} has ${linesOfCode(source)} lines of code`] : []),
    ...(source.path.split('/').length > 4 ? [`${source.path} lies too deep`] : []),
    ...(/^[a-z0-9]+(-[a-z0-9]+)*\.c?ts$/.test(source.path.split('/').at(-1)!)
      ? []
      : [`${source.path}: kebab-case`]),
    ...(/\b(types|utils?|helpers?|common|misc)\.ts$/.test(source.path)
      ? [`${source.path} says nothing`]
      : []),
  ])
  allow(t, violations, 'one job a file, and a name that says it')
})

t.test('functions and types are exported by name, and what is erased is erasable', async (t) => {
  const violations = sources
    .filter(({ path }) => !path.endsWith('.cts'))
    .flatMap(({ path, code }) =>
      [
        /^export default\b/m,
        /^(export )?(declare )?namespace \w/m,
        /^export \*/m,
        /(?<![.\w])eval\(/,
      ].flatMap((pattern) => {
        const found = pattern.exec(code)?.[0]
        return found === undefined ? [] : [`${path}: ${found}`]
      }),
    )
  allow(t, violations, 'named exports')
})

t.test('no timer is one that a test runner may have replaced', async (t) => {
  const violations = sources
    .filter(({ path }) => path !== 'src/base/real-time.ts' && path !== 'src/adapter.ts')
    .flatMap(({ path, bare }) => {
      const imports = [...bare.matchAll(/^import \{([^}]*)\} from/gm)].map(([, names = '']) => names).join()
      const called = [...bare.matchAll(/(?<![.\w])((?:set|clear)(?:Timeout|Interval|Immediate))\b/g)]
      return called.filter(([, name]) => !imports.includes(name!)).map(([, name]) => `${path}: ${name}`)
    })
  allow(t, violations, 'from src/base/real-time.ts, or what hands it on')
})

t.test('every error code is used, and every code that is used is declared', async (t) => {
  const declared = new Set(
    codesIn(sources.find(({ path }) => path === 'src/base/errors.ts')!.bare.split('export class')[0]!),
  )
  t.ok(declared.size > 5)
  const used = new Set(
    sources.flatMap(({ path, bare }) =>
      codesIn(path === 'src/base/errors.ts' ? bare.slice(bare.indexOf('export class')) : bare),
    ),
  )
  const violations = [
    ...[...declared].filter((code) => !used.has(code)).map((code) => `${code} is never used`),
    ...[...used].filter((code) => !declared.has(code)).map((code) => `${code} is not declared`),
  ]
  allow(t, violations, 'the codes are API')
})

function codesIn(text: string): string[] {
  return [...text.matchAll(/['"`](SLG_ERR_[A-Z_]+)['"`]/g)].map(([, code]) => code!)
}

t.test('the whole package can be loaded with require(): nothing awaits at the top', async (t) => {
  const compiled = sources
    .map(({ path }) => join(PACKAGE_ROOT, 'build', path.replace(/\.(c?)ts$/, '.$1js')))
    .filter((path) => existsSync(path))
  t.equal(compiled.length, sources.length, 'everything is compiled')
  // What does something when it is loaded comes last; Node refuses a waiting module before it runs any of it.
  const doers = compiled.filter((path) => /build\/(?:src\/register|cli\/index)/.test(path))
  const program = `
    const refused = []
    process.argv.push('cli', '--help')
    process.on('exit', () => { require('fs').writeSync(3, JSON.stringify(refused)) })
    for (const path of ${JSON.stringify([...compiled.filter((path) => !doers.includes(path)), ...doers])}) {
      try { require(path) } catch (error) { refused.push([path, error.code, error.message]) }
    }`
  const { output, status } = spawnSync(process.execPath, ['--no-warnings', '--eval', program], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    env: { ...process.env, SOCKET_LEAK_GUARD_ENABLED: 'off', NODE_OPTIONS: '' },
  })
  t.equal(status, 0)
  const refused = JSON.parse(output[3] ?? 'null') as unknown
  t.same(refused, [])
})
