import {
  Attribution,
  releaseRequest,
  requestInfoOf,
  routePatternOf,
  type RequestLike,
} from '../attribution.js'
import type { TrackedSocket } from '../tracked-socket.js'

/**
 * The request in which something was opened, as a store of the guard's own: nothing is formatted before a report asks,
 * by when a router has found the route. It lets go of the request once that is answered, because a connection of a pool
 * may live as long as the process.
 */
export class ServedRequest {
  readonly #use = new Attribution()
  readonly #users = new Set<TrackedSocket>()
  #isOver = false
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
    if (!this.#isOver) this.#users.add(record)
  }

  users(): Iterable<TrackedSocket> {
    return this.#users
  }

  /** Lets go of the request, keeping its name. */
  release(): void {
    this.#isOver = true
    this.#users.clear()
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
