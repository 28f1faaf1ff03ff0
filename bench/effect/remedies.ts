/** What people do against leaked sockets, each in its best sensible form. */
import { createRequire } from 'node:module'
import type http from 'node:http'
import { Server as HttpServer } from 'node:http'
import type { WebSocket } from 'ws'
import { install, type Guard, type InstallOptions } from '../../src/index.js'
import type { Remedy } from './scenes.js'

export const LIMIT_MS = 2000

/** How long remedies wait. */
export interface Pace {
  readonly limitMs: number
  readonly guard: InstallOptions
}

export const PACES = {
  quick: { limitMs: LIMIT_MS, guard: { graceMs: LIMIT_MS, sweepMs: 500, escalateMs: 1000 } },
  /** The library as it comes, and time limits as long as its grace. */
  default: { limitMs: 60_000, guard: {} },
} satisfies Record<string, Pace>

const NOTHING: Remedy = { onServer() {}, onConnection() {}, onWebSockets() {}, agent: undefined }

export interface RemedyKind {
  readonly title: string
  /** What stands in front of the server or acts from outside. */
  readonly outside?: 'haproxy' | 'nginx' | 'ss'
  apply(pace: Pace): { readonly remedy: Remedy; readonly guard: Guard | null }
}

function code(title: string, remedy: (limitMs: number) => Partial<Remedy>): RemedyKind {
  return { title, apply: ({ limitMs }) => ({ remedy: { ...NOTHING, ...remedy(limitMs) }, guard: null }) }
}

function guarded(title: string, options: InstallOptions): RemedyKind {
  return {
    title,
    apply: (pace) => ({ remedy: NOTHING, guard: install({ log: () => {}, ...pace.guard, ...options }) }),
  }
}

/** A client that leaves ends its upstream, also one that was opened after an `await`. */
const RECLAIM: InstallOptions = {
  action: 'destroy',
  propagateAbort: 'context',
  context: 'async-local-storage',
}

export const REMEDIES: Readonly<Record<string, RemedyKind>> = {
  bare: code('bare Node', () => ({})),
  timeouts: code('time limits on servers and sockets', (limitMs) => ({
    onServer(server) {
      if (!(server instanceof HttpServer)) return
      Object.assign(server, {
        requestTimeout: limitMs,
        headersTimeout: limitMs,
        keepAliveTimeout: limitMs,
      })
      server.setTimeout(limitMs)
    },
    onConnection: (socket) => void socket.setTimeout(limitMs, () => socket.destroy()),
  })),
  'keep-alive': code('setKeepAlive(true, 1000)', () => ({
    onConnection: (socket) => void socket.setKeepAlive(true, 1000),
  })),
  'on-end': code("socket.on('end', () => socket.end())", () => ({
    onConnection: (socket) => void socket.on('end', () => socket.end()),
  })),
  agentkeepalive: code('agentkeepalive', (limitMs) => ({ agent: agentWithLimits(limitMs) })),
  heartbeat: code("ws's heartbeat recipe", (limitMs) => ({
    onWebSockets(server) {
      const alive = new WeakSet<WebSocket>()
      server.on('connection', (client) => {
        alive.add(client.on('pong', () => alive.add(client)))
      })
      setInterval(() => {
        for (const client of server.clients) {
          if (!alive.delete(client)) client.terminate()
          else client.ping()
        }
      }, limitMs)
    },
  })),
  ss: { ...code('`ss -K` on CLOSE_WAIT and FIN_WAIT2, each second', () => ({})), outside: 'ss' },
  haproxy: { ...code('HAProxy in front', () => ({})), outside: 'haproxy' },
  nginx: { ...code('nginx in front', () => ({})), outside: 'nginx' },
  report: guarded("this library, `action: 'report'`", {}),
  end: guarded("this library, `action: 'end'`", { action: 'end' }),
  destroy: guarded("this library, `action: 'destroy'`, `propagateAbort`", RECLAIM),
  'destroy-stalled': guarded('the same, `stalled` ones too', {
    ...RECLAIM,
    stalled: { graceMs: LIMIT_MS, action: 'destroy' },
  }),
}

/** `reset` frees the descriptors that `destroy` does, but leaves the kernel nothing: the client that comes back tells them apart. */
export const ALL_REMEDIES: Readonly<Record<string, RemedyKind>> = {
  ...REMEDIES,
  reset: guarded("this library, `action: 'reset'`", { action: 'reset' }),
}

function agentWithLimits(limitMs: number): http.Agent {
  const Agent = createRequire(import.meta.url)('agentkeepalive') as new (options: object) => http.Agent
  return new Agent({ timeout: limitMs, freeSocketTimeout: limitMs, socketActiveTTL: limitMs })
}
