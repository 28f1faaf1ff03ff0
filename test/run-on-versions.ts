/**
 * Runs the compiled tests that depend on Node's version on the other supported majors, which come from the npm registry
 * (package `node`). Pure rules, documents, examples and the kernel's port handling are the same everywhere.
 *
 * `node build/test/run-on-versions.js [major...]`; without arguments 22, 24 and 26.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')
const MAJORS = ['22', '24', '26']
const TESTS = join(ROOT, 'build', 'test')
const DEPENDS_ON_NODE =
  /^(?:adapters|coexistence|field|integration|observe|server)\/.*\.test\.js$|^(?:register|testing)\.test\.js$/
const SAME_EVERYWHERE = /port-collision|kernel\/proc-table|closed-sockets/

function nodeOf(major: string): string {
  const folder = join(ROOT, 'node_modules', '.cache', 'node-versions', major)
  const node = join(folder, 'node_modules', '.bin', 'node')
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', `node@${major}`], {
      cwd: folder,
      stdio: 'inherit',
    })
  }
  return node
}

const files = readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
  .filter((file) => DEPENDS_ON_NODE.test(file) && !SAME_EVERYWHERE.test(file))
  .map((file) => join(TESTS, file))

let failed = false
const asked = process.argv.slice(2)
for (const major of asked.length === 0 ? MAJORS : asked) {
  const node = nodeOf(major)
  console.log(`# Node ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}`)
  const path = `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`
  const tap = join(ROOT, 'node_modules', '.bin', 'tap')
  const { status } = spawnSync(node, [tap, ...files], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, PATH: path },
  })
  failed ||= status !== 0
}
process.exit(failed ? 1 : 0)
