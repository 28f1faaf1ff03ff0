/**
 * The calls on files that reading /proc takes, in one place, so that they can be counted, and replaced in a
 * test.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

export interface FileCalls {
  readonly openSync: (path: string, flags: 'r') => number
  readonly readSync: (
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: null,
  ) => number
  readonly closeSync: (fd: number) => void
  readonly fstatSync: (fd: number) => { readonly ino: number; isSocket(): boolean }
}

export const fileCalls: FileCalls = { openSync, readSync, closeSync, fstatSync }

/** The process or the machine is short of something just now: a reason to try again later, not to give up. */
const SHORTAGES = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR'])

export function isShortOfResources(error: unknown): boolean {
  return SHORTAGES.has(errorCode(error))
}

export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

export function countFileCalls(files: FileCalls, counters: { syscalls: number }): FileCalls {
  function counted<Args extends unknown[], Result>(call: (...args: Args) => Result) {
    return function countedCall(...args: Args): Result {
      counters.syscalls += 1
      return call(...args)
    }
  }
  return {
    openSync: counted(files.openSync),
    readSync: counted(files.readSync),
    closeSync: counted(files.closeSync),
    fstatSync: counted(files.fstatSync),
  }
}
