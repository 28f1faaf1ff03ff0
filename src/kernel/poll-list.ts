/** An array of `struct pollfd` (8 bytes: fd i32, events i16, revents i16), to be used again and again. */
export class PollList {
  readonly bytes: Uint8Array
  readonly #fds: Int32Array
  readonly #halves: Int16Array

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity * 8)
    this.#fds = new Int32Array(this.bytes.buffer)
    this.#halves = new Int16Array(this.bytes.buffer)
  }

  /** poll(2) ignores a negative descriptor. */
  set(index: number, fd: number, events: number): void {
    this.#fds[index * 2] = fd
    this.#halves[index * 4 + 2] = events
    this.#halves[index * 4 + 3] = 0
  }

  revents(index: number): number {
    return this.#halves[index * 4 + 3]!
  }
}
