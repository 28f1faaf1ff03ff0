import { Socket } from 'node:net'
import { readField } from '../../core/foreign.js'
import { requestOn } from '../../socket/fields.js'
import type { RequestName } from '../../socket/record.js'
import { nameRequest, siteOfRequest, textOfRequest, type ToldRoutes } from '../request-name.js'

/**
 * The request in whose work something is done, as a store of the guard's own. It holds the request weakly, because a store lives
 * as long as the last connection or timer that was made in it.
 */
export class Work {
  readonly #request: WeakRef<object>
  readonly #routes: ToldRoutes
  /** Of an upgrade or a tunnel: its socket may outlive the request by hours, and nothing is paired with it by the request. */
  readonly isHandedOver: boolean
  /** As it was called when something was last opened in it. */
  #name: RequestName | null = null

  constructor(request: object, event: string, routes: ToldRoutes) {
    this.#request = new WeakRef(request)
    this.#routes = routes
    this.isHandedOver = event === 'upgrade' || event === 'connect'
  }

  /** Something is opened in its work, and may outlive it: its name is written down. */
  note(): void {
    this.#name = this.#nameNow()
  }

  serves(request: object): boolean {
    return this.#request.deref() === request
  }

  /** The accepted connection, while the request can still be asked. */
  connection(): Socket | null {
    const request = this.#request.deref()
    const socket = request === undefined ? null : readField(request, 'socket')
    return socket instanceof Socket ? socket : null
  }

  /** It is answered, or its connection has gone. An upgrade lasts as long as its connection. */
  isOver(): boolean {
    const request = this.#request.deref()
    const socket = this.connection()
    if (request === undefined || socket === null || socket.destroyed) return true
    return !this.isHandedOver && requestOn(socket) !== request
  }

  /** `GET /users/:id`, or the path where no framework told a route; `null` for what has no method. */
  name(): string | null {
    const name = this.#nameNow()
    return name === null ? null : textOfRequest(name)
  }

  /** As `name()`, without its ids. */
  site(): string | null {
    const name = this.#nameNow()
    return name === null ? null : siteOfRequest(name)
  }

  #nameNow(): RequestName | null {
    const request = this.#request.deref()
    return request === undefined ? this.#name : nameRequest(request, this.#routes)
  }
}
