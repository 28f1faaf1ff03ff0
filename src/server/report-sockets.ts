/** The guard's own sockets. They stay out of its tracking: a reader of the report is not a socket of the application. */
import type { Server, Socket } from 'node:net'

/** Bounded by the endpoint's `maxConnections`: what has closed is dropped whenever another one comes. */
const reportSockets = new Set<Socket>()

export function markReportSocket(socket: Socket): void {
  for (const known of reportSockets) if (known.destroyed) reportSockets.delete(known)
  reportSockets.add(socket)
}

export function isReportSocket(socket: Socket): boolean {
  return reportSockets.has(socket)
}

/** Those that are open now. */
export function openReportSockets(): Socket[] {
  return [...reportSockets].filter((socket) => !socket.destroyed)
}

const reportServers = new WeakSet<Server>()

export function markReportServer(server: Server): void {
  reportServers.add(server)
}

export function isReportServer(server: Server): boolean {
  return reportServers.has(server)
}
