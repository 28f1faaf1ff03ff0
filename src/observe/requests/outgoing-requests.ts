/**
 * Who uses an outgoing connection. A pool gives the same socket to one piece of work after the other, so the work in which
 * it was opened says nothing about the work that leaks it.
 *
 * - `node:http`: the request in progress is on the socket (`clientRequestOf`), so naming it costs nothing. In whose work
 *   it was made is known when the agent assigns a socket: `ClientRequest.prototype.onSocket` (lib/_http_client.js), called
 *   inside `http.request()` or, for a request that had to wait, inside its own async resource (lib/_http_agent.js
 *   `setRequestSocket`). It is wrapped only where context or stacks are wanted. The channel `http.client.request.created`
 *   knows no socket and is missing in Node 20; `http.client.request.start` is silent until the request's body has ended
 * - undici, and with it `fetch()`: the channels of undici, which Node's own copy publishes too. `sendHeaders` may run in the
 *   work of another request, so the context is taken at `create`
 *
 * Checked on Node 20.20, 22.23, 24.21 and 26.10.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { ClientRequest } from 'node:http'
import { Socket } from 'node:net'
import { readField } from '../../core/foreign.js'
import { ServedRequest } from '../context/served-request.js'
import type { Context, ContextSource } from '../context/source.js'
import { originOf, type Exchange, type Origin, type UndiciRequest } from '../origin.js'
import type { Capture, StackRecorder } from '../stacks/stacks.js'
import { recordOf, type TrackedSocket } from '../tracked-socket.js'

export interface OutgoingHooks {
  adopt(socket: Socket): TrackedSocket | null
  readonly context: ContextSource | null
  readonly stacks: StackRecorder | null
  onFailure(error: unknown): void
}

export function observeOutgoingRequests({ adopt, context, stacks, onFailure }: OutgoingHooks): () => void {
  const created = new WeakMap<object, { readonly context: Context | null; readonly stack: Capture | null }>()
  const under = new WeakMap<object, Origin>()
  const isWanted = context !== null || stacks !== null

  // Everything below runs inside the host's own calls, so nothing may come out of it.
  function shielded(observe: (message: unknown) => void): (message: unknown) => void {
    return function observeShielded(message) {
      try {
        observe(message)
      } catch (error) {
        onFailure(error)
      }
    }
  }

  const onAssigned = shielded((socket) => {
    if (!(socket instanceof Socket)) return
    const record = recordOf(socket) ?? adopt(socket)
    if (record === null) return
    const origin = originOf(record)
    origin.context = context?.current() ?? null
    noteUser(origin.context, record)
    origin.isAssigned = true
    stacks?.onAssigned(record)
  })

  const onCreate = shielded((message) => {
    const { request } = message as { request: object }
    created.set(request, { context: context?.current() ?? null, stack: stacks?.captureRequest() ?? null })
  })

  const onSendHeaders = shielded((message) => {
    const { request, socket } = message as { request: UndiciRequest; socket: unknown }
    if (!(socket instanceof Socket)) return
    const record = recordOf(socket) ?? adopt(socket)
    if (record === null) return
    const origin = originOf(record)
    const exchange: Exchange = { request, context: null, stack: null, ...created.get(request) }
    origin.exchanges = [...(origin.exchanges ?? []).filter(isUnderWay), exchange]
    noteUser(exchange.context, record)
    under.set(request, origin)
  })

  const onTrailers = shielded((message) => {
    const { request } = message as { request: object }
    const origin = under.get(request)
    if (origin?.exchanges == null) return
    origin.exchanges = origin.exchanges.filter((exchange) => exchange.request !== request)
  })

  const channels: [name: string, listener: (message: unknown) => void][] = [
    ['undici:client:sendHeaders', onSendHeaders],
    ['undici:request:trailers', onTrailers],
  ]
  if (isWanted) channels.push(['undici:request:create', onCreate])
  for (const [name, listener] of channels) subscribe(name, listener)
  const unwrap = isWanted ? wrapOnSocket(onAssigned) : null

  return function stopObservingOutgoingRequests() {
    for (const [name, listener] of channels) unsubscribe(name, listener)
    unwrap?.()
  }
}

function noteUser(context: Context | null, record: TrackedSocket): void {
  if (context instanceof ServedRequest) context.noteUser(record)
}

export function isUnderWay({ request }: Exchange): boolean {
  return readField(request, 'completed') !== true && readField(request, 'aborted') !== true
}

type OnSocket = (this: ClientRequest, ...args: unknown[]) => unknown

function wrapOnSocket(onAssigned: (socket: unknown) => void): () => void {
  let active = true
  const prototype = ClientRequest.prototype as unknown as { onSocket?: OnSocket }
  const original = prototype.onSocket
  if (typeof original !== 'function') return () => {}
  const before = Object.getOwnPropertyDescriptor(prototype, 'onSocket')!

  function onSocket(this: ClientRequest, ...args: unknown[]): unknown {
    if (active) onAssigned(args[0])
    return original!.apply(this, args)
  }

  Object.defineProperty(onSocket, 'length', { value: original.length, configurable: true })
  Object.defineProperty(prototype, 'onSocket', { ...before, value: onSocket })
  return function restoreOnSocket() {
    active = false
    if (prototype.onSocket === onSocket) Object.defineProperty(prototype, 'onSocket', before)
  }
}
