/**
 * Every diagnostics channel of Node's and undici's that the guard listens to, in one table. All of them are opt-in: without
 * `context` and `stacks` none is subscribed to.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:net'

export interface ChannelListeners {
  /** A request of `node:http` was made (Node 22.15, 23.11 and later). */
  readonly 'http.client.request.created': ((message: { readonly request: object }) => void) | null
  /** A request of undici, or `fetch()`, was made. It may be sent later, in the work of another. */
  readonly 'undici:request:create': ((message: { readonly request: object }) => void) | null
  /** A request came in over a connection that may have served others. */
  readonly 'http.server.request.start': ((message: { readonly socket: unknown }) => void) | null
  /** A request is answered (lib/_http_server.js `resOnFinish`). Only once a connection was opened in the work of one. */
  readonly 'http.server.response.finish':
    ((message: { readonly request: object; readonly socket: unknown }) => void) | null
  /** Speaks inside the call to `listen()` (lib/net.js `Server.listen`). */
  readonly 'tracing:net.server.listen:asyncStart': ((message: { readonly server: Server }) => void) | null
}

/** @param onFailure an application may publish on these channels by itself, with whatever it likes */
export function listenToChannels(
  listeners: Partial<ChannelListeners>,
  onFailure: (error: unknown) => void,
): () => void {
  const subscribed = Object.entries(listeners).flatMap(([name, listener]) => {
    if (listener === null) return []
    const shielded = (message: unknown): void => {
      try {
        ;(listener as (message: unknown) => void)(message)
      } catch (error) {
        onFailure(error)
      }
    }
    subscribe(name, shielded)
    return [[name, shielded] as const]
  })
  return function stopListening() {
    for (const [name, listener] of subscribed) unsubscribe(name, listener)
  }
}

/** Does this Node tell of each request of `node:http` when it is made? */
export function tellsRequestsMade(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 23 || (major === 23 && minor >= 11) || (major === 22 && minor >= 15)
}
