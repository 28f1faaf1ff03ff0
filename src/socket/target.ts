import { readField } from '../core/foreign.js'
import type { Endpoint } from '../core/endpoint.js'

/** `net.connect()` passes its own arguments as one array (lib/net.js `normalizeArgs`). */
export function targetOf(args: ArrayLike<unknown>): Endpoint | null {
  const first = Array.isArray(args[0]) ? (args[0] as unknown[])[0] : args[0]
  if (typeof first === 'object' && first !== null) {
    const path = readField(first, 'path')
    return typeof path === 'string' && path !== ''
      ? pipeAt(path)
      : placeOf(readField(first, 'port'), readField(first, 'host'))
  }
  return typeof first === 'string' && Number.isNaN(Number(first)) ? pipeAt(first) : placeOf(first, args[1])
}

/** An abstract name begins with a zero byte, written `@` as in ss(8) and unix(7). */
export function pipeAt(path: string): Endpoint {
  return { address: path.replace(/^\0/, '@'), port: null }
}

function placeOf(port: unknown, host: unknown): Endpoint | null {
  const number = typeof port === 'string' ? Number(port) : port
  if (typeof number !== 'number' || !Number.isInteger(number)) return null
  return { address: typeof host === 'string' && host !== '' ? host : 'localhost', port: number }
}
