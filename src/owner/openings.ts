// How many bytes a connection had moved when the request that opened it ended: later bytes may be for others.
import { Socket } from 'node:net'
import { listenToChannels } from '../socket/channels.js'
import { bytesMoved } from '../socket/fields.js'
import type { SocketRecord } from '../socket/record.js'
import { Work } from './context/work.js'
import { Opener } from './outgoing.js'

export class Openings {
  readonly #opened = new WeakMap<Socket, Set<SocketRecord>>()
  readonly #onFailure: (error: unknown) => void
  #stopListening: (() => void) | null = null

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure
  }

  add(record: SocketRecord, work: Work): void {
    const served = work.connection()
    if (served === null || !(record.opener instanceof Opener)) return
    let siblings = this.#opened.get(served)
    if (siblings === undefined) this.#opened.set(served, (siblings = new Set()))
    siblings.add(record)
    record.opener.siblings = siblings
    this.#stopListening ??= listenToChannels(
      { 'http.server.response.finish': ({ request, socket }) => this.#onOver(socket, request) },
      this.#onFailure,
    )
  }

  onReleased(record: SocketRecord): void {
    if (this.#stopListening === null) return
    if (record.direction === 'inbound') this.#onOver(record.socket, null)
    else if (record.opener instanceof Opener) record.opener.siblings?.delete(record)
  }

  stop(): void {
    this.#stopListening?.()
    this.#stopListening = null
  }

  #onOver(served: unknown, request: object | null): void {
    const siblings = served instanceof Socket ? this.#opened.get(served) : undefined
    for (const record of siblings ?? []) {
      const { opener, socket } = record
      if (!(opener instanceof Opener) || !(opener.context instanceof Work)) continue
      if (request !== null && !opener.context.serves(request)) continue
      opener.movedWhenOver = bytesMoved(socket)
      opener.siblings = null
      siblings?.delete(record)
    }
  }
}
