// Verdict changes as server-sent events (WHATWG HTML, section 9.2). All clients share a subscription and a timer, which
// exist while there is a client. A client that is too slow is dropped; EventSource reconnects.
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { GuardEvent } from '../core/report.js'
import { createDetached } from '../base/detached.js'
import { clearInterval, setInterval } from '../base/real-time.js'
import { markEndless } from '../core/endless.js'
import { renderEventJson } from '../report/json.js'

export const EVENT_STREAM_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // Compressing middleware and nginx would hold events back to fill a buffer.
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
} as const

export interface EventStreamOptions {
  readonly heartbeatMs?: number
  readonly maxClients?: number
  readonly maxWaitingBytes?: number
}

export type Subscribe = (listener: (event: GuardEvent) => void) => () => void

export interface EventStream {
  readonly isFull: boolean
  add(response: ServerResponse, headers: OutgoingHttpHeaders): void
  close(): void
}

interface Client {
  readonly response: ServerResponse
  isBehind: boolean
}

export function createEventStream(subscribe: Subscribe, options: EventStreamOptions = {}): EventStream {
  const { heartbeatMs = 15_000, maxClients = 32, maxWaitingBytes = 256 * 1024 } = options
  const clients = new Set<Client>()
  const runDetached = createDetached()
  let stop: (() => void) | null = null

  function start(): void {
    const unsubscribe = subscribe(sendToAll)
    // Detached from the first reader's request.
    const heartbeat = runDetached(() => setInterval(beat, heartbeatMs)).unref()
    stop = () => {
      stop = null
      clearInterval(heartbeat)
      unsubscribe()
    }
  }

  function sendToAll(event: GuardEvent): void {
    const message = `event: ${event.type}\ndata: ${renderEventJson(event)}\n\n`
    for (const client of clients) {
      send(client, message)
      if (client.response.writableLength > maxWaitingBytes) drop(client)
    }
  }

  function beat(): void {
    for (const client of clients) {
      const isBehind = client.response.writableLength > 0
      if (isBehind && client.isBehind) drop(client)
      else send(client, ': still here\n\n')
      client.isBehind = isBehind
    }
  }

  function send(client: Client, text: string): void {
    const { response } = client
    // Middleware may have ended it; a write would emit 'error' in the host.
    if (response.writableEnded || response.destroyed) return
    try {
      response.write(text)
    } catch {
      drop(client)
    }
  }

  function drop(client: Client): void {
    remove(client)
    client.response.destroy()
  }

  function remove(client: Client): void {
    if (clients.delete(client) && clients.size === 0) stop?.()
  }

  return {
    get isFull() {
      return clients.size >= maxClients
    },
    add(response, headers) {
      if (clients.size === 0) start()
      const client: Client = { response, isBehind: false }
      clients.add(client)
      markEndless(response)
      response.on('close', function forgetClient() {
        remove(client)
      })
      response.on('error', ignoreLostClient)
      response.writeHead(200, headers)
      send(client, 'retry: 5000\n\n')
    },
    close() {
      for (const { response } of clients) response.end()
      clients.clear()
      stop?.()
    },
  }
}

function ignoreLostClient(): void {}
