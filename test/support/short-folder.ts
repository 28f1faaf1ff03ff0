import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A new folder for unix sockets: their path has room for some hundred bytes, which tap's own folders may exceed. */
export function shortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'slg-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
