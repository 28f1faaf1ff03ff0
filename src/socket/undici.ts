// What undici, and `fetch()` with it, keeps on a socket under symbols (lib/core/symbols.js,
// lib/core/request.js, lib/dispatcher/client.js, as bundled in Node 20.20 to 26.10).
import type { Socket } from 'node:net'
import { bySymbol, readField } from '../core/foreign.js'

export function undiciRequestOn(socket: Socket): object | null {
  const client = bySymbol(socket, 'client')
  if (typeof client !== 'object' || client === null) return null
  const queue = bySymbol(client, 'queue')
  const running = bySymbol(client, 'running index')
  const pending = bySymbol(client, 'pending index')
  if (!Array.isArray(queue) || typeof running !== 'number' || running === pending) return null
  return (queue[running] as object | null | undefined) ?? null
}

export function isHeldByUndici(socket: Socket): boolean {
  return bySymbol(socket, 'client') !== undefined
}

/** The response body as the application reads it, or before its decoders. */
export function undiciBodyOn(socket: Socket): object | null {
  const request = undiciRequestOn(socket)
  const handler = request === null ? null : bySymbol(request, 'handler')
  if (typeof handler !== 'object' || handler === null) return null
  const body = readField(handler, 'body') ?? readField(handler, 'res')
  return typeof body === 'object' ? body : null
}
