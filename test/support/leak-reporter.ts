/**
 * Preloaded into a program under test, after the guard: tells the parent over IPC where the program listens, which
 * connections it opens and closes, and what the guard makes of them. Not a test file: see `leak-program.ts`.
 */
import { subscribe } from 'node:diagnostics_channel'
import { Server, type AddressInfo, type Socket } from 'node:net'
import { installedGuard } from '../../src/index.js'
import type { ProgramMessage } from './leak-program.js'

function tell(message: ProgramMessage): void {
  process.send?.(message)
}

let opened = 0

function onSocket(message: unknown): void {
  const id = (opened += 1)
  tell({ type: 'opened', id })
  ;(message as { socket: Socket }).socket.once('close', () => tell({ type: 'closed', id }))
}

subscribe('net.server.socket', onSocket)
subscribe('net.client.socket', onSocket)

const guard = installedGuard()!
guard.subscribe((event) => tell({ type: 'verdict', event }))
process.on('message', () => tell({ type: 'report', report: guard.sweep({ all: true }) }))

/** A server announces itself to nobody but its own listeners, which belong to the program. */
const waiting = setInterval(function lookForServer() {
  const { _getActiveHandles } = process as unknown as { _getActiveHandles: () => unknown[] }
  const server = _getActiveHandles.call(process).find((handle) => handle instanceof Server)
  if (server === undefined || server.address() === null) return
  clearInterval(waiting)
  tell({ type: 'listening', port: (server.address() as AddressInfo).port })
}, 10)
waiting.unref()
