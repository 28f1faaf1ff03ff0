import {
  Attribution,
  releaseRequest,
  requestInfoOf,
  routePatternOf,
  type RequestLike,
} from '../requests/attribution.js'
import { bytesMoved } from '../socket-fields.js'
import type { TrackedSocket } from '../tracked-socket.js'

/** A request may go on for days and open connections all the time: from so many on, closed ones are let go of. */
const MANY = 8

/**
 * The request in which something was opened, as a store of the guard's own: nothing is formatted before a report asks,
 * by when a router has found the route. It lets go of the request once that is answered, because a connection of a pool
 * may live as long as the process.
 */
export class ServedRequest {
  readonly #use = new Attribution()
  /** Outgoing connections that were used in its work; `null` until there is one. */
  #users: Set<TrackedSocket> | null = null
  #isOver = false
  /** Connections opened in its work that are still open; `null` until there is one. */
  #opened: Set<TrackedSocket> | null = null
  #isAnswered = false
  /** Where the request came in; `null` where that is not known, and when it is over. */
  connection: TrackedSocket | null = null

  constructor(request: RequestLike) {
    this.#use.request = request
  }

  serves(request: unknown): boolean {
    return this.#use.request === request
  }

  /** An outgoing connection is used in its work. */
  noteUser(record: TrackedSocket): void {
    if (this.#isOver) return
    const users = (this.#users ??= new Set())
    if (users.size >= MANY) for (const old of users) if (old.socket.destroyed) users.delete(old)
    users.add(record)
  }

  users(): Iterable<TrackedSocket> {
    return this.#users ?? []
  }

  /** A connection was opened in its work. */
  onOpened(record: TrackedSocket): void {
    if (this.#isAnswered) record.origin!.movedWhenAnswered = 0
    else (this.#opened ??= new Set()).add(record)
  }

  onClosed(record: TrackedSocket): void {
    this.#opened?.delete(record)
  }

  /** It is answered, or its client has gone: what moves on its connections from now on may well be somebody else's. */
  onAnswered(): void {
    if (this.#isAnswered) return
    this.#isAnswered = true
    for (const { origin, socket } of this.#opened ?? []) origin!.movedWhenAnswered = bytesMoved(socket)
    this.#opened = null
    this.release()
  }

  /** Lets go of the request, keeping its name. */
  release(): void {
    this.#isOver = true
    this.#users = null
    this.connection = null
    releaseRequest(this.#use)
  }

  /** `GET /users/:id`, or the path where no framework told a route; `null` for what has no method. */
  name(): string | null {
    const request = requestInfoOf(this.#use)
    if (request === null) return null
    const route = routePatternOf(this.#use)
    return `${request.method} ${route === '' ? request.path : route}`
  }
}
