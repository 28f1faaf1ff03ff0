import { EventEmitter } from 'node:events'
import type { Engine } from './engine.js'
import type { Estate } from './estate.js'
import { wrongServer } from '../base/errors.js'
import type { AdapterGuard } from './guard.js'
import { checkedLabel, checkedRequest, checkedRoute } from './arguments.js'
import { nameRequest, type ResponseLike, type WebSocketLike } from '../owner/request-name.js'
import { isServedByHttp, requestOn, responseOn } from '../socket/fields.js'
import { hintOf, recordOf, type SocketRecord } from '../socket/record.js'
import { checkServerOptions } from '../options/check.js'
import { undiciRequestOn } from '../socket/undici.js'

export interface AdapterGuardHooks {
  readonly estate: Estate
  engine(): Engine
  ensureInstalled(): void
  recordFor(socket: unknown): SocketRecord
  readonly reportInSteps: AdapterGuard['reportInSteps']
}

export function createAdapterGuard({
  estate,
  engine,
  ensureInstalled,
  recordFor,
  reportInSteps,
}: AdapterGuardHooks): AdapterGuard {
  const { ledger, settings, routes } = estate
  return {
    reportInSteps,
    configureServer(server, options, routeOf) {
      ensureInstalled()
      if (!(server instanceof EventEmitter)) throw wrongServer('a net.Server', server)
      checkServerOptions(options)
      const { label, ...policy } = options
      const given = { policy, label: label === undefined ? null : checkedLabel(label) }
      const release = settings.configureServer(server, given)
      if (routeOf !== undefined) routes.tellFinder(server, routeOf)
      return function releaseServer() {
        release()
        if (routeOf !== undefined) routes.tellFinder(server, null)
      }
    },
    socketsOf(server) {
      return Array.from(ledger)
        .filter((record) => settings.isOf(record, server))
        .map(({ socket }) => socket)
    },
    socketOf(id) {
      for (const record of ledger) if (record.id === id) return record.socket
      return null
    },
    attribute(socket, { kind, request, webSocket, server }) {
      const record = recordFor(socket)
      const hint = hintOf(record)
      if (kind !== undefined) hint.kind = kind
      if (request !== undefined) hint.request = request === null ? null : nameRequest(request, routes)
      if (webSocket !== undefined) hint.webSocket = webSocket
      if (server !== undefined) {
        hint.server = server
        settings.apply(record)
      }
    },
    nameRoute(request, route) {
      ensureInstalled()
      routes.tell(checkedRequest(request), checkedRoute(route))
    },
    useOf(socket) {
      const record = recordOf(socket)
      if (record === undefined) return null
      const { hint } = record
      return {
        kind: hint?.kind ?? (isServedByHttp(record.socket) ? 'http' : null),
        request: requestOn(record.socket) ?? undiciRequestOn(record.socket),
        response: responseOn(record.socket) as ResponseLike | null,
        webSocket: (hint?.webSocket ?? null) as WebSocketLike | null,
        server: hint?.server ?? null,
      }
    },
    describe(socket) {
      const record = recordOf(socket)
      return record === undefined || record.index === -1 ? null : engine().look().describe(record)
    },
  }
}
