import type { Guard, GuardEvent, GuardListener } from 'socket-leak-guard'

type Claim = (event: GuardEvent) => boolean

/** What the guard has said so far, and who waits for what. */
export class Chronicle {
  readonly #events: GuardEvent[] = []
  readonly #unsubscribe: () => void
  #followers: GuardListener[] = []

  constructor(guard: Guard) {
    this.#unsubscribe = guard.subscribe((event) => {
      this.#events.push(event)
      for (const tell of [...this.#followers]) tell(event)
    })
  }

  close(): void {
    this.#followers = []
    this.#unsubscribe()
  }

  /** Tells everything: what has been, then what comes. */
  follow(listener: GuardListener): void {
    this.#events.forEach(listener)
    this.#followers.push(listener)
  }

  has(claim: Claim): boolean {
    return this.#events.some(claim)
  }

  /** Resolves when such an event comes, or at once when it has come already. */
  until(claim: Claim): Promise<void> {
    return new Promise((resolve) => {
      this.follow((event) => {
        if (claim(event)) resolve()
      })
    })
  }

  /** Each condition that came with a final word. */
  conditions(): Set<string> {
    const final = this.#events.filter(({ type }) => type !== 'suspect')
    return new Set(final.flatMap(({ socket }) => socket.condition ?? []))
  }
}
