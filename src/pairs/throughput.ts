import type { Socket } from 'node:net'
import { readField } from '../core/foreign.js'
import { bytesAccepted } from '../socket/fields.js'

/** A shorter interval would measure the event loop. */
const SHORTEST_LOOK_MS = 250

export class Throughput {
  lastMovedMs: number
  #atMs: number
  #moved: number
  bytesPerSecond: number | null = null

  constructor(socket: Socket, nowMs: number) {
    this.#atMs = nowMs
    this.lastMovedMs = nowMs
    this.#moved = movedOn(socket)
  }

  look(socket: Socket, nowMs: number): void {
    const passedMs = nowMs - this.#atMs
    if (passedMs < SHORTEST_LOOK_MS) return
    const moved = movedOn(socket)
    this.bytesPerSecond = Math.max(0, Math.round(((moved - this.#moved) * 1000) / passedMs))
    if (moved !== this.#moved) this.lastMovedMs = nowMs
    this.#atMs = nowMs
    this.#moved = moved
  }
}

function movedOn(socket: Socket): number {
  return (Number(readField(socket, 'bytesRead')) || 0) + bytesAccepted(socket)
}
