import { fstatSync, opendirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { errorCode } from '../base/errors.js'

export interface DescriptorCount {
  readonly open: number
  /** The soft RLIMIT_NOFILE; `null` if unlimited or unknown. */
  readonly softLimit: number | null
}

/** As /proc, `lsof` and `ss -e` show it; `null` elsewhere. */
export function inodeOf(fd: number): number | null {
  if (fd === -1 || process.platform !== 'linux') return null
  try {
    return fstatSync(fd).ino
  } catch {
    return null
  }
}

const SOFT_LIMIT = /^Max open files\s+(\d+)/m

// The function returns `null` if nothing is known. Since Linux 6.2 a stat(2) of /proc/self/fd has the number as its
// size; older kernels need a directory listing. EMFILE while reading means that all descriptors are in use.
export function createDescriptorCounter(directory = '/proc/self'): () => DescriptorCount | null {
  let limit: number | null = null

  return function countDescriptors() {
    let open: number | null = null
    let isFull = false
    try {
      open = statSync(`${directory}/fd`).size || countEntries(`${directory}/fd`)
    } catch (error) {
      isFull = errorCode(error) === 'EMFILE'
      if (!isFull) return null
    }
    try {
      const digits = SOFT_LIMIT.exec(readFileSync(`${directory}/limits`, 'latin1'))?.[1]
      limit = digits === undefined ? null : Number(digits)
    } catch (error) {
      isFull ||= errorCode(error) === 'EMFILE'
    }
    if (isFull && open !== null) limit ??= fullLimit(directory, open)
    open ??= limit
    return open === null ? null : { open, softLimit: limit }
  }
}

/** All numbers below the limit are in use; inherited ones may lie above. */
function fullLimit(directory: string, open: number): number {
  let limit = open
  while (limit > 0 && !isOpen(`${directory}/fd/${limit - 1}`)) limit -= 1
  return limit
}

function isOpen(path: string): boolean {
  try {
    readlinkSync(path)
    return true
  } catch {
    return false
  }
}

function countEntries(path: string): number {
  const directory = opendirSync(path)
  try {
    let entries = 0
    while (directory.readSync() !== null) entries += 1
    return entries - 1 // the descriptor that lists
  } finally {
    directory.closeSync()
  }
}
