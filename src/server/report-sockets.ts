/** The guard's own sockets. They stay out of its tracking: a reader of the report is not a socket of the application. */
import type { Socket } from 'node:net'

const reportSockets = new WeakSet<Socket>()

export function markReportSocket(socket: Socket): void {
  reportSockets.add(socket)
}

export function isReportSocket(socket: Socket): boolean {
  return reportSockets.has(socket)
}
