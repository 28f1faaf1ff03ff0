/** Errors in a hook become one process warning for each code. */
import type { Fault } from '../core/vocabulary.js'
import type { ErrorCode } from './errors.js'
import { readProcessWide, writeProcessWide } from './process-wide.js'

export function warnOnce(code: ErrorCode | Fault, message: string): void {
  const faults = faultsCaught()
  faults.set(code, (faults.get(code) ?? 0) + 1)
  const told = toldCodes()
  if (told.has(code)) return
  told.add(code)
  process.emitWarning(message, { type: 'SocketLeakGuardWarning', code })
}

function toldCodes(): Set<string> {
  const present = readProcessWide('told')
  if (present !== undefined) return present as Set<string>
  const codes = new Set<string>()
  writeProcessWide('told', codes)
  return codes
}

export function faultsCaught(): Map<string, number> {
  const present = readProcessWide('faults')
  if (present !== undefined) return present as Map<string, number>
  const counts = new Map<string, number>()
  writeProcessWide('faults', counts)
  return counts
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Calls a function of the application, which may be `async`. Errors and rejections go to `onFailure`. */
export function callShielded(call: () => unknown, onFailure: (message: string) => void): unknown {
  try {
    const result = call()
    if (result instanceof Promise) result.catch((error: unknown) => onFailure(messageOf(error)))
    return result
  } catch (error) {
    onFailure(messageOf(error))
    return undefined
  }
}
