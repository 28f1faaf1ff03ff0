import type { Writable } from 'node:stream'

/** Tells every subscriber the time, whether he is still there or not. */
export class Ticker {
  readonly #subscribers = new Set<Writable>()

  constructor() {
    setInterval(() => this.#tick(), 20).unref() // leaks: upgrade-ticker net-ticker
  }

  add(socket: Writable): void {
    this.#subscribers.add(socket)
  }

  #tick(): void {
    for (const socket of this.#subscribers) if (socket.writable) socket.write('tick\n') // leaks: upgrade-ticker net-ticker
  }
}
