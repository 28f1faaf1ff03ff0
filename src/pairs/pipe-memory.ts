// Remembers pipes that are over: a request without a body is piped to its upstream long before the answer.
// With `propagateAbort` it patches `pipe()`, which `stream.pipeline()` uses too
// (lib/internal/streams/pipeline.js; Node 20.20, 22.23, 24.21, 26.10).
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { applyPatches } from '../socket/patches.js'
import { targetOf, type End, type Reached } from './ends.js'

export class PipeMemory {
  /** Keyed by the message or stream that was read. A connection's own pipes last, and need no memory. */
  readonly #piped = new WeakMap<object, Reached>()
  #isActive = true
  readonly #unpatch: () => void

  constructor(onFailure: (error: unknown) => void) {
    this.#unpatch = applyPatches([
      {
        prototype: Readable.prototype,
        method: 'pipe',
        wrap: (find) => {
          const memory = this
          return function pipe(this: object, target: unknown, options?: { end?: unknown }): unknown {
            // Before the note: a failed `pipe()` throws.
            const result = find().call(this, target, options)
            try {
              if (memory.#isActive) memory.#note(this, target, options?.end !== false)
            } catch (error) {
              onFailure(error)
            }
            return result
          }
        },
      },
    ])
  }

  *reachedFrom(stream: object): Generator<Reached, void> {
    const seen = new Set<object>()
    for (let next = this.#piped.get(stream); next !== undefined && !seen.has(next.target);) {
      seen.add(next.target)
      const target: End | null = targetOf(next.target)
      if (target !== null) {
        yield { target, isEnded: next.isEnded }
        return
      }
      next = this.#piped.get(next.target)
    }
  }

  stop(): void {
    this.#isActive = false
    this.#unpatch()
  }

  #note(source: object, target: unknown, isEnded: boolean): void {
    if (source instanceof Socket || typeof target !== 'object' || target === null) return
    this.#piped.set(source, { target, isEnded })
  }
}
