import { Socket } from 'node:net'
import { readField } from '../../core/foreign.js'
import { requestOn } from '../../socket/fields.js'
import type { RequestName } from '../../socket/record.js'
import { nameRequest, siteOfRequest, textOfRequest, type ToldRoutes } from '../request-name.js'

// A request as the value of the guard's own store. Connections and timers keep a store alive, so it is held weakly.
export class Work {
  readonly #request: WeakRef<object>
  readonly #routes: ToldRoutes
  /** Of an upgrade or tunnel, whose socket may outlive the request by hours. Nothing is paired by it. */
  readonly isHandedOver: boolean
  #name: RequestName | null = null

  constructor(request: object, event: string, routes: ToldRoutes) {
    this.#request = new WeakRef(request)
    this.#routes = routes
    this.isHandedOver = event === 'upgrade' || event === 'connect'
  }

  /** Keeps the name for what is opened now and may outlive the request. */
  note(): void {
    this.#name = this.#nameNow()
  }

  serves(request: object): boolean {
    return this.#request.deref() === request
  }

  /** The accepted connection, while the request exists. */
  connection(): Socket | null {
    const request = this.#request.deref()
    const socket = request === undefined ? null : readField(request, 'socket')
    return socket instanceof Socket ? socket : null
  }

  /** Answered, or the connection is closed. An upgrade lasts as long as its connection. */
  isOver(): boolean {
    const request = this.#request.deref()
    const socket = this.connection()
    if (request === undefined || socket === null || socket.destroyed) return true
    return !this.isHandedOver && requestOn(socket) !== request
  }

  /** `GET /users/:id`, or the path without a known route; `null` without a method. */
  name(): string | null {
    const name = this.#nameNow()
    return name === null ? null : textOfRequest(name)
  }

  site(): string | null {
    const name = this.#nameNow()
    return name === null ? null : siteOfRequest(name)
  }

  #nameNow(): RequestName | null {
    const request = this.#request.deref()
    return request === undefined ? this.#name : nameRequest(request, this.#routes)
  }
}
