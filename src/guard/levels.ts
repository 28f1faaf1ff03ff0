// The lowest value of a number in each of the last slots of time, so that what comes and goes does not count.

/** Growth is this much in all, in so many steps, the last one lately, and without a decrease. */
const LEAST_GAIN = 10
const LEAST_STEPS = 4
const LATELY = 5

export class Levels {
  readonly #lows: Int32Array
  readonly #slotMs: number
  readonly #leastSlots: number
  readonly #firstSlot: number
  #slot: number
  #level: number

  constructor(slotMs: number, slots: number, leastSlots: number, level: number, nowMs: number) {
    this.#lows = new Int32Array(slots)
    this.#slotMs = slotMs
    this.#leastSlots = leastSlots
    this.#slot = this.#firstSlot = Math.floor(nowMs / slotMs)
    this.#level = this.#lows[this.#slot % slots] = level
  }

  note(level: number, nowMs: number): void {
    const lows = this.#lows
    const slot = Math.floor(nowMs / this.#slotMs)
    this.#slot = Math.max(this.#slot, slot - lows.length)
    while (this.#slot < slot) lows[(this.#slot += 1) % lows.length] = this.#level
    lows[slot % lows.length] = Math.min(lows[slot % lows.length]!, level)
    this.#level = level
  }

  growthPer(ms: number): number | null {
    const lows = this.#watched()
    if (lows === null) return null
    return ((lows.at(-1)! - lows[0]!) * ms) / ((lows.length - 1) * this.#slotMs)
  }

  isOnlyGrowing(): boolean {
    const lows = this.#watched()
    if (lows === null || lows.at(-1)! - lows[0]! < LEAST_GAIN) return false
    const steps = lows.slice(1).map((low, i) => low - lows[i]!)
    const ups = steps.filter((step) => step > 0).length
    const isRecent = steps.slice(-LATELY).some((step) => step > 0)
    return steps.every((step) => step >= 0) && ups >= Math.min(LEAST_STEPS, steps.length) && isRecent
  }

  #watched(): number[] | null {
    const slots = Math.min(this.#lows.length, this.#slot - this.#firstSlot + 1)
    if (slots <= this.#leastSlots) return null
    return Array.from(
      { length: slots },
      (_, i) => this.#lows[(this.#slot - slots + 1 + i) % this.#lows.length]!,
    )
  }
}
