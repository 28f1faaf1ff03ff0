/** A project of somebody else's: the package as `npm publish` would send it, installed without a network and with nothing else. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { PACKAGE_ROOT } from './package-root.js'

const run = promisify(execFile)

/** npm tells scripts about itself in variables that would steer the npm that they start. */
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(([key]) => !/^npm_|^NODE_OPTIONS$/i.test(key)),
)

export interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
}

export const MANIFEST = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as Manifest

export interface Packed {
  readonly filename: string
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

/** Gone when the test is over. */
export async function makeConsumer(t: Test): Promise<{ readonly folder: string; readonly packed: Packed }> {
  // Not below this package, whose own node_modules would be found from there.
  const parent = mkdtempSync(join(tmpdir(), 'socket-leak-guard-'))
  t.teardown(() => rmSync(parent, { recursive: true, force: true }))
  const folder = join(parent, 'consumer')
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }')
  const [packed] = JSON.parse(await npm(['pack', '--json', '--pack-destination', parent], PACKAGE_ROOT)) as [
    Packed,
  ]
  await npm(['install', '--offline', join(parent, packed.filename)], folder)
  return { folder, packed }
}

async function npm(args: readonly string[], cwd: string): Promise<string> {
  return (await run('npm', [...args, '--no-audit', '--no-fund', '--ignore-scripts'], { cwd, env: ENV }))
    .stdout
}

/**
 * Checks these files as strictly as a user can, with the types of Node and of the frameworks, and writes the JavaScript beside
 * them. @returns what the compiler complains of
 */
export async function compile(folder: string, files: readonly string[]): Promise<string> {
  symlinkSync(join(PACKAGE_ROOT, 'node_modules', '@types'), join(folder, 'node_modules', '@types'))
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    strict: true,
    skipLibCheck: false,
    types: ['node'],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: files }))
  const tsc = join(PACKAGE_ROOT, 'node_modules', '.bin', 'tsc')
  // The test runner has its loader put into every process; the compiler does not bear it.
  const { stdout } = await run('env', ['-u', 'NODE_OPTIONS', tsc, '-p', folder], { env: ENV }).catch(
    (error: { stdout: string }) => error,
  )
  return stdout
}
