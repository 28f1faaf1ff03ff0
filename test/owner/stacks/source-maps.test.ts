/**
 * Compiled code, maps and sources on disk, and what a process that began after them shows. Frames are given as text:
 * which code runs there makes no difference.
 */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { INDEX_URL, moduleUrl, PACKAGE_ROOT } from '../../support/package-root.js'
import { runNode } from '../../support/run-node.js'
import { mapOf, type Segment } from '../../support/source-map.js'

interface Shown {
  readonly site: string | null
  readonly lines: readonly string[]
}

/** Lines 1 to 4 of compiled code come from lines 11 to 14. */
const TEN_LATER: Segment[][] = [10, 11, 12, 13].map((line) => [[0, 0, line, 4]])
const SOURCE = Array.from({ length: 20 }, (_, i) => `    line ${i + 1} of the source`).join('\n')
const COMPILED = 'one()\ntwo()\nthree()\nfour()\n'

function folder(t: Test, files: Readonly<Record<string, string>>): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'socket-leak-guard-')))
  t.teardown(() => rmSync(root, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  return root
}

/** For each stack of frames, what a report would say in a process with this working directory. */
async function show(root: string, stacks: readonly (readonly string[])[], prepare = ''): Promise<Shown[]> {
  const program = `
    import { Places, describePlace, siteOfPlaces } from ${JSON.stringify(moduleUrl('src/owner/stacks/places.js'))}
    import { appendFileSync, utimesSync, writeFileSync } from 'node:fs'
    // The test runner turns them on in every process below it.
    process.setSourceMapsEnabled(false)
    ${prepare}
    const stacks = ${JSON.stringify(stacks)}
    console.log(JSON.stringify(stacks.map((frames) => {
      const stack = ['Error', ...frames.map((frame) => '    at f (' + frame + ')')].join('\\n')
      const known = new Places()
      const places = known.show(known.framesOf({ stack }))
      return { site: siteOfPlaces(places), lines: places.map(describePlace) }
    })))`
  const { stdout, stderr } = await runNode(['--input-type=module'], { input: program, cwd: root })
  t.equal(stderr, '')
  return JSON.parse(stdout) as Shown[]
}

/** The first line for a frame at line 2 of each of these files. */
async function showEach(
  root: string,
  files: readonly string[],
  prepare = '',
): Promise<(string | undefined)[]> {
  const shown = await show(
    root,
    files.map((file) => [`${join(root, file)}:2:1`]),
    prepare,
  )
  return shown.map(({ lines }) => lines[0])
}

const COMMENT = '//# sourceMappingURL='

function inline(map: string): string {
  return `${COMPILED}${COMMENT}data:application/json;charset=utf-8;base64,${Buffer.from(map).toString('base64')}\n`
}

t.test('a map beside the file, within it, and where sources are found', async (t) => {
  const withContent = mapOf(['../src/app.ts'], TEN_LATER, { sourcesContent: [SOURCE] })
  const root = folder(t, {
    'src/on disk.ts': SOURCE,
    'src/c#.ts': SOURCE,
    'dist/beside.js': `${COMPILED}${COMMENT}maps/beside.js.map`,
    'dist/maps/beside.js.map': mapOf(['../../src/on disk.ts'], TEN_LATER),
    'dist/within.js': inline(withContent),
    'dist/plain.js': `${COMPILED}${COMMENT}data:application/json,${encodeURIComponent(withContent)}`,
    'dist/root.js': inline(mapOf(['app.ts'], TEN_LATER, { sourceRoot: '../src', sourcesContent: [SOURCE] })),
    'dist/encoded.js': inline(mapOf(['../src/on%20disk.ts'], TEN_LATER)),
    'dist/hash.js': inline(mapOf(['../src/c#.ts'], TEN_LATER)),
    'dist/gone.js': inline(mapOf(['../src/not/shipped.ts'], TEN_LATER)),
    'dist/sections.js': inline(
      `{ "version": 3, "sections": [{ "offset": { "line": 0, "column": 0 }, "map": ${withContent} }] }`,
    ),
    'dist/webpack.js': inline(
      mapOf(['webpack://app/./src/app.ts?1a2b'], TEN_LATER, { sourcesContent: [SOURCE] }),
    ),
    'dist/commented.js': `${COMPILED}${COMMENT}maps/beside.js.map\n//# debugId=1\n\n`,
  })
  writeFileSync(
    join(root, 'dist/url.js'),
    inline(mapOf([pathToFileURL(join(root, 'src/on disk.ts')).href], TEN_LATER)),
  )
  const text = 'line 12 of the source'
  const expected = {
    'dist/beside.js': `src/on disk.ts:12 - ${text}`,
    'dist/within.js': `src/app.ts:12 - ${text}`,
    'dist/plain.js': `src/app.ts:12 - ${text}`,
    'dist/root.js': `src/app.ts:12 - ${text}`,
    'dist/encoded.js': `src/on disk.ts:12 - ${text}`,
    'dist/hash.js': `src/c#.ts:12 - ${text}`,
    'dist/url.js': `src/on disk.ts:12 - ${text}`,
    'dist/gone.js': 'src/not/shipped.ts:12:5',
    'dist/sections.js': `src/app.ts:12 - ${text}`,
    'dist/webpack.js': `webpack://app/src/app.ts:12 - ${text}`,
    'dist/commented.js': `src/on disk.ts:12 - ${text}`,
  }
  const files = Object.keys(expected)
  t.same(Object.fromEntries((await showEach(root, files)).map((line, i) => [files[i], line])), expected)
})

t.test('in doubt the compiled place stands', async (t) => {
  const good = mapOf(['a.ts'], TEN_LATER, { sourcesContent: [SOURCE] })
  const files = {
    'none.js': COMPILED,
    'missing.js': `${COMPILED}${COMMENT}missing.js.map`,
    'broken.js': `${COMPILED}${COMMENT}data:application/json;base64,AAAA`,
    'elsewhere.js': `${COMPILED}${COMMENT}https://example.com/elsewhere.js.map`,
    'folder.js': `${COMPILED}${COMMENT}.`,
    'not-last.js': `const text = \`\n${COMMENT}good.map\n\`\n${COMPILED}`,
    'large.js': `${COMPILED}${COMMENT}large.map`,
    'malformed.js': inline(good.replace('"mappings":"', '"mappings":"!')),
    'unmapped.js': inline(mapOf(['a.ts'], [TEN_LATER[0]!, [], TEN_LATER[2]!])),
    'nameless.js': inline(mapOf([null], TEN_LATER)),
    'virtual.js': inline(mapOf(['\0helpers.js'], TEN_LATER)),
    'too-short.js': inline(mapOf(['a.ts'], TEN_LATER, { sourcesContent: ['one line'] })),
    'too-short-on-disk.js': inline(mapOf(['short.ts'], TEN_LATER)),
  }
  const root = folder(t, {
    ...files,
    'good.map': good,
    'short.ts': 'one line',
    'large.map': good.replace('{', `{"padding":"${'x'.repeat(4_000_000)}",`),
  })
  const names = Object.keys(files)
  const shown = await showEach(root, names)
  const line = ['const text = `', COMMENT + 'good.map'].length
  t.same(
    Object.fromEntries(shown.map((text, i) => [names[i], text])),
    Object.fromEntries(
      names.map((name) => [
        name,
        `${name}:${line} - ${name === 'not-last.js' ? `${COMMENT}good.map` : 'two()'}`,
      ]),
    ),
  )
})

t.test('what was written after the process began is not what runs', async (t) => {
  const map = mapOf(['a.ts'], TEN_LATER, { sourcesContent: [SOURCE] })
  const root = folder(t, {
    'code.js': inline(map),
    'map.js': `${COMPILED}${COMMENT}map.js.map`,
    'map.js.map': map,
    'source.js': inline(mapOf(['source.ts'], TEN_LATER)),
    'source.ts': SOURCE,
    'same.js': inline(map),
  })
  const prepare = `
    appendFileSync('code.js', ' ')
    // As a copy that keeps the times of its original.
    utimesSync('code.js', 1, 1)
    appendFileSync('map.js.map', ' ')
    writeFileSync('source.ts', 'other\\n'.repeat(30))`
  t.same(await showEach(root, ['code.js', 'map.js', 'source.js', 'same.js'], prepare), [
    'code.js:2:1',
    'map.js:2 - two()',
    'source.ts:12:5',
    'a.ts:12 - line 12 of the source',
  ])
})

t.test('a bundle: its dependencies are dependencies, and so are the frames of the bundler', async (t) => {
  const sources = [
    '../src/app.ts',
    '../node_modules/express/lib/router.js',
    'webpack://app/./node_modules/koa/index.js',
    'webpack://app/webpack/runtime/load',
    'webpack://app/external node-commonjs "http"',
  ]
  const lines = sources.map((_, source): Segment[] => [[0, source, 4, 0]])
  const root = folder(t, {
    'dist/bundle.js': inline(mapOf(sources, lines)),
    // Its map names a source outside, as maps of monorepos do.
    'node_modules/dep/index.js': inline(mapOf(['../../src/looks-like-ours.ts'], TEN_LATER)),
  })
  const at = (line: number): string => `${join(root, 'dist/bundle.js')}:${line}:1`
  const dependency = `${join(root, 'node_modules/dep/index.js')}:1:1`
  const [whole, alone, outer] = await show(root, [
    [dependency, at(2), at(1), at(3), at(4), at(5)],
    [at(4), at(3)],
    [dependency, dependency],
  ])
  t.equal(whole!.site, 'src/app.ts:5')
  t.same(whole!.lines.slice(1), ['node_modules/express/lib/router.js:5:1', 'src/app.ts:5:1'])
  t.match(whole!.lines[0], 'node_modules/dep/index.js:1 - one()')
  t.equal(alone!.lines.length, 2, 'there is nothing else to show')
  t.equal(outer!.site, 'node_modules/dep/index.js:1')
})

t.test('a bundle with the guard in it', async (t) => {
  const installed = 'node_modules/socket-leak-guard/dist/src/owner/stacks'
  const root = folder(t, {
    'package.json': '{ "name": "app" }',
    'src/app.js': `
      import { describePlace, Places } from '../${installed}/places.js'
      const places = new Places()
      console.log(JSON.stringify(places.show(places.capture()).map(describePlace)))`,
  })
  cpSync(join(PACKAGE_ROOT, 'build', 'src', 'owner', 'stacks'), join(root, installed), { recursive: true })
  for (const [format, sourcemap, lines] of [
    [
      'esm',
      true,
      ['src/app.js:4 - console.log(JSON.stringify(places.show(places.capture()).map(describePlace)))'],
    ],
    [
      'cjs',
      true,
      ['src/app.js:4 - console.log(JSON.stringify(places.show(places.capture()).map(describePlace)))'],
    ],
    // Nothing tells our frames from the application's.
    ['esm', false, []],
    ['cjs', false, []],
  ] as const) {
    const outfile = join(root, 'out', `${String(sourcemap)}.${format === 'esm' ? 'mjs' : 'cjs'}`)
    await build({
      entryPoints: [join(root, 'src/app.js')],
      outfile,
      format,
      sourcemap,
      bundle: true,
      platform: 'node',
      nodePaths: [join(PACKAGE_ROOT, 'node_modules')],
    })
    const { stdout, stderr } = await runNode([outfile], { cwd: root, env: { NODE_OPTIONS: '' } })
    t.same({ stderr, lines: JSON.parse(stdout) as unknown }, { stderr: '', lines }, `${format}, ${sourcemap}`)
  }
})

const stripsTypes = 'typescript' in process.features && process.features.typescript !== false

t.test(
  'TypeScript that Node runs as it is',
  { skip: stripsTypes ? false : 'not on this Node' },
  async (t) => {
    const root = folder(t, {
      'app.ts': `
      import { install } from ${JSON.stringify(INDEX_URL)}
      import net from 'node:net'
      interface Erased { readonly a: number }
      const guard = install({ stacks: 'always', context: 'off' })
      const server = net.createServer().listen(0, () => {
        const target: unknown & Erased = { port: (server.address() as net.AddressInfo).port } as never
        const socket = net.connect(target as never)
        socket.once('connect', () => {
          const { sockets } = guard.snapshot({ all: true })
          console.log(sockets.find(({ direction }) => direction === 'outbound')!.owner.stack![0])
          process.exit()
        })
      })`,
    })
    const { stdout } = await runNode(['--no-warnings', join(root, 'app.ts')], { cwd: root })
    t.equal(stdout, 'app.ts:8 - const socket = net.connect(target as never)\n')
  },
)
