/** What gates a change can fail: each tool, set up as here, refuses what is broken and lets the mended twin pass. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { PACKAGE_ROOT } from './support/package-root.js'
import { cleanEnvironment } from './support/run-node.js'

// Many processes, one after the other: run without the test runner, the file would have 30 seconds.
t.setTimeout(120_000)

const MANIFEST = {
  name: 'fixture',
  version: '1.0.0',
  type: 'module',
  license: 'MIT',
  files: ['*.js', '*.d.ts'],
}
const TSCONFIG = JSON.stringify({ compilerOptions: { strict: true, module: 'nodenext' }, include: ['*.ts'] })

interface Gate {
  readonly tool: string
  readonly args: readonly string[]
  /** Configuration of this repository that the tool reads. */
  readonly config?: string
  readonly broken: Readonly<Record<string, string>>
  readonly mended: Readonly<Record<string, string>>
}

const GATES: readonly Gate[] = [
  {
    tool: 'prettier',
    args: ['--check', 'a.ts'],
    config: '.prettierrc.json',
    broken: { 'a.ts': 'export const a = "b";\n' },
    mended: { 'a.ts': "export const a = 'b'\n" },
  },
  {
    tool: 'oxlint',
    args: ['--type-aware', 'a.ts'],
    config: '.oxlintrc.json',
    broken: { 'tsconfig.json': TSCONFIG, 'a.ts': 'async function f(): Promise<void> {}\nf()\n' },
    mended: { 'tsconfig.json': TSCONFIG, 'a.ts': 'async function f(): Promise<void> {}\nvoid f()\n' },
  },
  {
    tool: 'knip',
    args: [],
    broken: {
      'index.js': "import { used } from './other.js'\nused()\n",
      'other.js': 'export function used() {}\nexport function unused() {}\n',
    },
    mended: {
      'index.js': "import { used } from './other.js'\nused()\n",
      'other.js': 'export function used() {}\n',
    },
  },
  {
    tool: 'publint',
    args: ['--strict', '--pack', 'npm'],
    broken: { 'package.json': manifest({ exports: './missing.js' }) },
    mended: { 'package.json': manifest({ exports: './index.js' }), 'index.js': 'export {}\n' },
  },
  {
    tool: 'attw',
    args: ['--pack', '.', '--profile', 'esm-only'],
    broken: {
      'package.json': manifest({ exports: { types: './index.d.cts', default: './index.js' }, files: ['*'] }),
      'index.js': 'export const a = 1\n',
      'index.d.cts': 'export declare const a: number\n',
    },
    mended: {
      'package.json': manifest({ exports: './index.js' }),
      'index.js': 'export const a = 1\n',
      'index.d.ts': 'export declare const a: number\n',
    },
  },
]

function manifest(more: object): string {
  return JSON.stringify({ ...MANIFEST, ...more })
}

for (const gate of GATES) {
  t.test(gate.tool, async (t) => {
    const refused = await run(t, gate, gate.broken, 'broken')
    t.not(refused.code, 0, 'refuses what is broken')
    const passed = await run(t, gate, gate.mended, 'mended')
    t.equal(passed.code, 0, `lets the mended twin pass: ${passed.output}`)
  })
}

async function run(
  t: Test,
  { tool, args, config }: Gate,
  files: Readonly<Record<string, string>>,
  name: string,
): Promise<{ readonly code: number; readonly output: string }> {
  // Not below this repository: what .gitignore names is left out by some of the tools.
  const root = mkdtempSync(join(tmpdir(), 'socket-leak-guard-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const folder = join(root, name)
  mkdirSync(folder, { recursive: true })
  for (const [path, text] of Object.entries({ 'package.json': manifest({}), ...files })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  if (config !== undefined) copyFileSync(join(PACKAGE_ROOT, config), join(folder, config))
  symlinkSync(join(PACKAGE_ROOT, 'node_modules'), join(folder, 'node_modules'))
  return runTool(tool, args, folder)
}

function runTool(
  tool: string,
  args: readonly string[],
  cwd: string,
): Promise<{ readonly code: number; readonly output: string }> {
  // The test runner has its loader put into every process; these tools do not bear it.
  const file = join(PACKAGE_ROOT, 'node_modules', '.bin', tool)
  return new Promise((resolve) => {
    execFile(
      'env',
      ['-u', 'NODE_OPTIONS', file, ...args],
      { cwd, env: cleanEnvironment() },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr })
      },
    )
  })
}
