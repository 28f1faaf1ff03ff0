/** A map of bounded size that forgets what was not asked for the longest. */
export class Recent<Key, Value> {
  readonly #entries = new Map<Key, Value>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  /** What is known of `key`, else what `find` says, which is kept. */
  get(key: Key, find: (key: Key) => Value): Value {
    const value = this.#entries.has(key) ? this.#entries.get(key)! : find(key)
    // A Map keeps the order of insertion.
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size > this.#most) this.#entries.delete(this.#entries.keys().next().value!)
    return value
  }
}
