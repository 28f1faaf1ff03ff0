/** Saves a report in pieces, between which the event loop turns. */
import { closeSync, openSync, renameSync, rmSync, write, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { threadId } from 'node:worker_threads'
import { SocketLeakGuardError } from '../base/errors.js'
import { monotonicMs, setImmediate } from '../base/real-time.js'
import { messageOf } from '../base/warnings.js'
import type { Report } from '../core/report.js'
import { writeJsonOf } from '../report/json.js'
import { withoutQueries } from '../report/printable.js'
import { createRedaction } from './redact.js'

const SLICE_MS = 2
const PIECE_BYTES = 16_384

export interface SaveOptions {
  readonly isRedacted: boolean
  /** Called right before the file takes a descriptor. */
  readonly makeRoom?: () => void
}

export interface Saving {
  readonly saved: Promise<string>
  /** Without a turn of the event loop: the process ends. */
  finishNow(): void
}

interface Piece {
  readonly fd: number
  readonly bytes: Buffer
  readonly at: number
}

let saves = 0

/** Readable by the owner alone, and whole or not at all. */
export function startSaving(path: string, report: Generator<void, Report>, options: SaveOptions): Saving {
  let isEnding = false
  const steps = saveInSteps(resolve(path), report, options, () => isEnding)
  let step: IteratorResult<Piece | void, string> = { value: undefined }

  async function save(): Promise<string> {
    let until = monotonicMs() + SLICE_MS
    for (; step.done !== true; step = steps.next()) {
      if (step.value !== undefined) await writeWhole(step.value).catch((error: unknown) => steps.throw(error))
      else if (monotonicMs() < until) continue
      else await new Promise((resolve) => setImmediate(resolve))
      until = monotonicMs() + SLICE_MS
    }
    return step.value
  }

  return {
    saved: save(),
    finishNow() {
      isEnding = true
      // What the thread pool may be writing is written once more, to its place.
      for (; step.done !== true; step = steps.next()) if (step.value !== undefined) writeNow(step.value)
    },
  }
}

function* saveInSteps(
  target: string,
  making: Generator<void, Report>,
  { isRedacted, makeRoom }: SaveOptions,
  isEnding: () => boolean,
): Generator<Piece | void, string> {
  saves += 1
  const temporary = `${target}.${process.pid}-${threadId}-${saves}.tmp`
  try {
    const report = yield* making
    // Of an earlier process with this id.
    remove(temporary)
    makeRoom?.()
    const fd = openSync(temporary, 'wx', 0o600)
    try {
      const hide = isRedacted ? createRedaction() : null
      const shown = <T>(part: T): T => (hide === null ? withoutQueries(part) : hide(withoutQueries(part)))
      let at = 0
      for (const text of inPieces(writeJsonOf(report, shown))) {
        const bytes = Buffer.from(text)
        yield { fd, bytes, at }
        at += bytes.length
      }
    } finally {
      // The thread pool may still write to it, so its number must not become another file's.
      if (!isEnding()) closeSync(fd)
    }
    renameSync(temporary, target)
    return target
  } catch (error) {
    remove(temporary)
    throw new SocketLeakGuardError('SLG_ERR_SAVE_REPORT', `the report can't be saved: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function* inPieces(texts: Iterable<string>): Generator<string> {
  let piece = ''
  for (const text of texts) {
    piece += text
    if (piece.length < PIECE_BYTES) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

async function writeWhole({ fd, bytes, at }: Piece): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await promisify(write)(fd, bytes, done, bytes.length - done, at + done)).bytesWritten
}

function writeNow({ fd, bytes, at }: Piece): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done)
}

export function remove(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // Its folder is gone.
  }
}
