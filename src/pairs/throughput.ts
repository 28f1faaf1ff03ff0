/** How fast bytes move on a connection, between two looks at it. Only of connections whose partner is in trouble. */
import type { Socket } from 'node:net'
import { bytesAccepted } from '../socket/fields.js'

/** Closer looks would tell more of the event loop than of the connection. */
const SHORTEST_LOOK_MS = 250

export class Throughput {
  #atMs: number
  #moved: number
  #lastMovedMs: number
  /** Received and sent; `null` before the second look. */
  bytesPerSecond: number | null = null

  constructor(socket: Socket, nowMs: number) {
    this.#atMs = nowMs
    this.#lastMovedMs = nowMs
    this.#moved = movedOn(socket)
  }

  /** Milliseconds since a byte was seen to have moved. */
  idleMs(nowMs: number): number {
    return nowMs - this.#lastMovedMs
  }

  look(socket: Socket, nowMs: number): void {
    const passedMs = nowMs - this.#atMs
    if (passedMs < SHORTEST_LOOK_MS) return
    const moved = movedOn(socket)
    this.bytesPerSecond = Math.max(0, Math.round(((moved - this.#moved) * 1000) / passedMs))
    if (moved !== this.#moved) this.#lastMovedMs = nowMs
    this.#atMs = nowMs
    this.#moved = moved
  }
}

function movedOn(socket: Socket): number {
  return socket.bytesRead + bytesAccepted(socket)
}
