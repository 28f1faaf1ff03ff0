/**
 * Runs the compiled tests that depend on Node's version on the other supported majors, which come from the npm registry
 * (package `node`). Pure rules, documents, examples and the kernel's port handling are the same everywhere.
 *
 * `node build/test/run-on-versions.js [major...]`; without arguments 22, 24 and 26.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { MAJORS, nodeOf } from './support/node-versions.js'

const ROOT = join(import.meta.dirname, '..', '..')
const TESTS = join(ROOT, 'build', 'test')
const DEPENDS_ON_NODE =
  /^(?:adapters|coexistence|exporters|field|integration|server|transparency)\/.*\.test\.js$|^(?:register|testing|testing-runners)\.test\.js$/
const SAME_EVERYWHERE = /port-collision|kernel\/proc-table|closed-sockets/

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
