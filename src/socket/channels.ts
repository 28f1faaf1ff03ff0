/** The diagnostics channels the guard can listen to; `context` and `stacks` decide which. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:net'

export interface ChannelListeners {
  /** Node 22.15, 23.11 and later. */
  readonly 'http.client.request.created': ((message: { readonly request: object }) => void) | null
  /** Undici, or `fetch()`, may send the request later, in another async context. */
  readonly 'undici:request:create': ((message: { readonly request: object }) => void) | null
  readonly 'http.server.request.start': ((message: { readonly socket: unknown }) => void) | null
  /** When the request is answered (lib/_http_server.js `resOnFinish`). */
  readonly 'http.server.response.finish':
    ((message: { readonly request: object; readonly socket: unknown }) => void) | null
  /** Published inside the call to `listen()` (lib/net.js `Server.listen`). */
  readonly 'tracing:net.server.listen:asyncStart': ((message: { readonly server: Server }) => void) | null
}

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

export function tellsRequestsMade(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major > 23 || (major === 23 && minor >= 11) || (major === 22 && minor >= 15)
}
