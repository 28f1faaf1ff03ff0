/**
 * Runs the compiled tests on the other supported majors of Node, which come from the npm registry (package `node`).
 *
 * `node dist/test/run-on-versions.js [major...]`; without arguments 22, 24 and 26.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')
const MAJORS = ['22', '24', '26']

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

let failed = false
const asked = process.argv.slice(2)
for (const major of asked.length === 0 ? MAJORS : asked) {
  const node = nodeOf(major)
  console.log(`# Node ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}`)
  const path = `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`
  const tap = join(ROOT, 'node_modules', '.bin', 'tap')
  const { status } = spawnSync(node, [tap], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, PATH: path },
  })
  failed ||= status !== 0
}
process.exit(failed ? 1 : 0)
