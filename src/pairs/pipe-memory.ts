/**
 * What was piped, where the pipe itself is over: a request without a body has been piped to its upstream long before that
 * answers. Only with `propagateAbort`: it takes one more patch, called once for each pipe and never for a chunk.
 *
 * `stream.pipeline()` goes through `pipe()` as well (lib/internal/streams/pipeline.js; Node 20.20, 22.23, 24.21, 26.10).
 */
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { applyPatches } from '../socket/patches.js'
import { targetOf, type End, type Reached } from './ends.js'

export class PipeMemory {
  /** By the message or the stream that was read. Pipes from a connection itself last, and are seen without a memory. */
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
            // First: what can't be piped throws.
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

  /** Where what came from this message went. */
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
