import { readFileSync } from 'node:fs'
import { EXIT, Failure, type Given } from '../command.js'

/** `$(pgrep -f app.js)` may be none or several. */
export function pidOf({ operands }: Given): number {
  const text = operands.join(' ')
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new Failure(`PID must be one number, got ${text === '' ? 'none' : JSON.stringify(text)}`, EXIT.usage)
}

export function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim().slice(0, 200)
}
