/** What people do against leaked sockets, each in its best sensible form, with every time limit at 2 seconds. */
import { createRequire } from 'node:module'
import type http from 'node:http'
import { Server as HttpServer } from 'node:http'
import type { WebSocket } from 'ws'
import { install, type Guard, type InstallOptions } from '../../src/index.js'
import type { Remedy } from './scenes.js'

export const LIMIT_MS = 2000

const NOTHING: Remedy = { onServer() {}, onConnection() {}, onWebSockets() {}, agent: undefined }

export interface RemedyKind {
  readonly title: string
  /** What stands in front of the server or acts from outside. */
  readonly outside?: 'haproxy' | 'nginx' | 'ss'
  apply(): { readonly remedy: Remedy; readonly guard: Guard | null }
}

function code(title: string, remedy: () => Partial<Remedy>): RemedyKind {
  return { title, apply: () => ({ remedy: { ...NOTHING, ...remedy() }, guard: null }) }
}

function guarded(title: string, options: InstallOptions): RemedyKind {
  const common: InstallOptions = { graceMs: LIMIT_MS, sweepMs: 500, escalateMs: 1000, log: () => {} }
  return { title, apply: () => ({ remedy: NOTHING, guard: install({ ...common, ...options }) }) }
}

/** A client that leaves ends its upstream, also one that was opened after an `await`. */
const RECLAIM: InstallOptions = {
  action: 'destroy',
  propagateAbort: 'context',
  context: 'async-local-storage',
}

export const REMEDIES: Readonly<Record<string, RemedyKind>> = {
  bare: code('bare Node', () => ({})),
  timeouts: code('time limits on servers and sockets', () => ({
    onServer(server) {
      if (!(server instanceof HttpServer)) return
      Object.assign(server, {
        requestTimeout: LIMIT_MS,
        headersTimeout: LIMIT_MS,
        keepAliveTimeout: LIMIT_MS,
      })
      server.setTimeout(LIMIT_MS)
    },
    onConnection: (socket) => void socket.setTimeout(LIMIT_MS, () => socket.destroy()),
  })),
  'keep-alive': code('setKeepAlive(true, 1000)', () => ({
    onConnection: (socket) => void socket.setKeepAlive(true, 1000),
  })),
  'on-end': code("socket.on('end', () => socket.end())", () => ({
    onConnection: (socket) => void socket.on('end', () => socket.end()),
  })),
  agentkeepalive: code('agentkeepalive', () => ({ agent: agentWithLimits() })),
  heartbeat: code("ws's heartbeat recipe", () => ({
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
      }, LIMIT_MS)
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

function agentWithLimits(): http.Agent {
  const Agent = createRequire(import.meta.url)('agentkeepalive') as new (options: object) => http.Agent
  return new Agent({ timeout: LIMIT_MS, freeSocketTimeout: LIMIT_MS, socketActiveTTL: LIMIT_MS })
}
