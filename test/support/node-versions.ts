/** Node of other majors, fetched once from the npm registry (package `node`). */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGE_ROOT } from './package-root.js'

/** The supported ones besides the one that development happens on. */
export const MAJORS: readonly string[] = ['22', '24', '26']

/** @returns its executable */
export function nodeOf(major: string): string {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  const folder = join(PACKAGE_ROOT, 'node_modules', '.cache', 'node-versions', major)
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
