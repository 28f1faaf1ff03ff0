import { spawnSync } from 'node:child_process'
import { cleanEnvironment } from './run-node.js'

/** Debian's package prometheus brings it. */
export function hasPromtool(): boolean {
  return spawnSync('promtool', ['--version']).status === 0
}

export function promtool(
  args: readonly string[],
  input = '',
): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, {
    input,
    encoding: 'utf8',
    env: cleanEnvironment(),
  })
  return { status, output: stdout + stderr }
}
