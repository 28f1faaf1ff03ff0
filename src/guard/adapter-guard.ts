/** The part of the guard that adapters use: checks what it is given, then tells the engine. */
import { EventEmitter } from 'node:events'
import type { Estate } from '../engine.js'
import { wrongServer } from '../errors.js'
import type { AdapterGuard } from '../guard.js'
import { checkedLabel, checkedRequest, checkedRoute } from '../guard-arguments.js'
import { describeSocket } from '../observe/describe-socket.js'
import { Attribution, releaseRequest } from '../observe/requests/attribution.js'
import { tellRoute, tellRouteOf } from '../observe/requests/told-routes.js'
import { recordOf, type TrackedSocket } from '../observe/tracked-socket.js'
import { checkServerOptions } from '../options/check.js'

export interface AdapterGuardHooks {
  readonly estate: Estate
  /** @throws `SLG_ERR_UNINSTALLED` */
  ensureInstalled(): void
  /** @throws `SLG_ERR_UNINSTALLED`, `SLG_ERR_NOT_A_SOCKET` */
  recordFor(socket: unknown): TrackedSocket
}

export function createAdapterGuard({ estate, ensureInstalled, recordFor }: AdapterGuardHooks): AdapterGuard {
  const { ledger, settings, now } = estate
  return {
    configureServer(server, options, routeOf) {
      ensureInstalled()
      if (!(server instanceof EventEmitter)) throw wrongServer('a net.Server', server)
      checkServerOptions(options)
      const { label, ...policy } = options
      const given = { policy, label: label === undefined ? null : checkedLabel(label) }
      const release = settings.configureServer(server, given)
      if (routeOf !== undefined) tellRouteOf(server, routeOf)
      return function releaseServer() {
        release()
        if (routeOf !== undefined) tellRouteOf(server, null)
      }
    },
    socketsOf(server) {
      return Array.from(ledger)
        .filter((record) => settings.isOf(record, server))
        .map(({ socket }) => socket)
    },
    attribute(socket, { kind, request, response, webSocket, server }) {
      const record = recordFor(socket)
      const attribution = (record.attribution ??= new Attribution())
      if (kind !== undefined) attribution.kind = kind
      if (request !== undefined) attribution.request = request
      if (response !== undefined) attribution.response = response
      if (webSocket !== undefined) attribution.webSocket = webSocket
      if (server !== undefined) {
        attribution.server = server
        settings.apply(record)
      }
      // Its request is over where the socket was taken from HTTP: keep the name, let go of the rest.
      if (attribution.kind !== 'http') releaseRequest(attribution)
    },
    nameRoute(request, route) {
      ensureInstalled()
      tellRoute(checkedRequest(request), checkedRoute(route))
    },
    useOf: (socket) => recordOf(socket)?.attribution ?? null,
    describe(socket) {
      const record = recordOf(socket)
      return record === undefined || record.index === -1 ? null : describeSocket(record, now())
    },
  }
}
