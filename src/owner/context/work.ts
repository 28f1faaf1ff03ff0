import { Socket } from 'node:net'
import { readField } from '../../core/foreign.js'
import { requestOn } from '../../socket/fields.js'
import { streamOfRequest } from '../../socket/http2.js'
import type { RequestName } from '../../socket/record.js'
import { nameRequest, siteOfRequest, siteOfUpgrade, textOfRequest, type ToldRoutes } from '../request-name.js'

// A request as the value of the guard's own store. Connections and timers keep a store alive, so it is held weakly.
export class Work {
  readonly #request: WeakRef<object>
  readonly #routes: ToldRoutes
  readonly #isUpgrade: boolean
  /** The connection of an upgrade or tunnel, which may outlive the request by hours. */
  readonly #handedOver: WeakRef<object> | null
  #name: RequestName | null = null

  constructor(request: object, event: string, routes: ToldRoutes) {
    this.#request = new WeakRef(request)
    this.#routes = routes
    this.#isUpgrade = event === 'upgrade'
    const socket = this.#isUpgrade || event === 'connect' ? readField(request, 'socket') : null
    this.#handedOver = socket instanceof Socket ? new WeakRef(socket) : null
  }

  note(): void {
    this.#name = this.#nameNow()
  }

  get isHandedOver(): boolean {
    return this.#handedOver !== null
  }

  serves(request: object): boolean {
    return this.#request.deref() === request
  }

  connection(): Socket | null {
    const request = this.#request.deref()
    const socket = this.#handedOver?.deref() ?? (request === undefined ? null : readField(request, 'socket'))
    return socket instanceof Socket ? socket : null
  }

  isOver(): boolean {
    const stream = this.#stream()
    if (stream !== null) return readField(stream, 'closed') !== false
    const socket = this.connection()
    if (socket === null || readField(socket, 'destroyed') === true) return true
    return !this.isHandedOver && requestOn(socket) !== this.#request.deref()
  }

  #stream(): object | null {
    const request = this.#request.deref()
    return request === undefined ? null : streamOfRequest(request)
  }

  name(): string | null {
    const name = this.#nameNow()
    return name === null ? null : textOfRequest(name)
  }

  site(): string | null {
    const name = this.#nameNow()
    if (name === null) return null
    return this.#isUpgrade ? siteOfUpgrade(name) : siteOfRequest(name)
  }

  #nameNow(): RequestName | null {
    const request = this.#request.deref()
    return request === undefined ? this.#name : nameRequest(request, this.#routes)
  }
}
