/**
 * Sees what is piped into what. `pipe()` is where two connections of a process become one conversation, and
 * `stream.pipeline()` goes through it as well (lib/internal/streams/pipeline.js `pipe`; checked on Node 20.20, 22.23, 24.21 and
 * 26.10). Nothing tells it later: the destination holds closures only, and both sides let go of each other the moment one closes.
 *
 * One more pass-through on `stream.Readable.prototype`, called once for each pipe and never for a chunk.
 */
import { Readable } from 'node:stream'
import { replaceMethod } from '../seam.js'

/** @param isEnded the end of the source is to end the target */
export type PipeListener = (source: object, target: unknown, isEnded: boolean) => void

type Pipe = (this: Readable, ...args: unknown[]) => unknown

/** Puts the pass-through in. `onPipe` must not throw. @returns what takes it out again */
export function patchPipe(onPipe: PipeListener): () => void {
  let active = true
  const original = Readable.prototype.pipe as unknown as Pipe

  function pipe(this: Readable, ...args: unknown[]): unknown {
    // First: what can't be piped throws.
    const result = original.apply(this, args)
    if (active) onPipe(this, args[0], (args[1] as { end?: unknown } | null | undefined)?.end !== false)
    return result
  }

  const restore = replaceMethod('pipe', pipe, Readable.prototype)
  return function unpatchPipe() {
    active = false
    restore()
  }
}
