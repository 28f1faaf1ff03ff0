import {
  Attribution,
  releaseRequest,
  requestInfoOf,
  routePatternOf,
  type RequestLike,
} from '../attribution.js'

/**
 * The request in which something was opened, as a store of the guard's own: nothing is formatted before a report asks,
 * by when a router has found the route. It lets go of the request once that is answered, because a connection of a pool
 * may live as long as the process.
 */
export class ServedRequest {
  readonly #use = new Attribution()

  constructor(request: RequestLike) {
    this.#use.request = request
  }

  serves(request: unknown): boolean {
    return this.#use.request === request
  }

  /** Lets go of the request, keeping its name. */
  release(): void {
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
