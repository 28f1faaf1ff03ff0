import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

// Throws if unreadable, too large, or newer than the process, which then did not load this file.
export function readText(file: string, largest: number, mostRead = largest): string {
  const descriptor = openSync(file, 'r')
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile() || stats.size > largest || stats.ctimeMs > beginOfProcessMs())
      throw new Error('not to be used')
    const buffer = Buffer.allocUnsafe(Math.min(stats.size, mostRead))
    const length = readSync(descriptor, buffer, 0, buffer.length, stats.size - buffer.length)
    return buffer.toString('utf8', 0, length)
  } finally {
    closeSync(descriptor)
  }
}

/** node:perf_hooks is loaded when a report asks for places, not at start. */
function beginOfProcessMs(): number {
  return process.getBuiltinModule('node:perf_hooks').performance.timeOrigin
}
