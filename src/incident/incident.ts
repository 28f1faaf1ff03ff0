// Without free descriptors nothing can be loaded or opened: this is loaded at start and keeps a descriptor.
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { join, resolve } from 'node:path'
import type { RunDetached } from '../base/detached.js'
import { clearInterval, monotonicMs, setInterval } from '../base/real-time.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import type { Report } from '../core/report.js'
import type { IncidentPolicy } from '../options/options.js'
import { remove, startSaving } from './save.js'

export { startSaving }

const LOOK_MS = 1000
/** Between two files of its own; a signal is heeded at most once a second. */
const REST_MS = 600_000
const SIGNAL_REST_MS = 1000
/** The oldest is removed. */
const MOST_FILES = 10
const NEARLY_FULL = 0.9

export interface IncidentSource {
  readonly runDetached: RunDetached
  reportInSteps(): Generator<void, Report>
  sample(): { leaked: number; openDescriptors: number | null; descriptorLimit: number | null }
}

export function watchIncidents(policy: IncidentPolicy, source: IncidentSource): () => void {
  const { atLeaked, signal, redact } = policy
  const directory = resolve(policy.dir)
  const files: string[] = []
  let reserve = keepReserve()
  let lastMs = -Infinity
  let isWriting = false

  function look(): void {
    try {
      const { leaked, openDescriptors, descriptorLimit } = source.sample()
      if (atLeaked !== null && leaked >= atLeaked) save('leaked', REST_MS)
      else if (
        openDescriptors !== null &&
        descriptorLimit !== null &&
        openDescriptors >= NEARLY_FULL * descriptorLimit
      )
        save('descriptors', REST_MS)
    } catch (error) {
      fail(error)
    }
  }

  function save(why: string, restMs: number): void {
    const nowMs = monotonicMs()
    if (isWriting || nowMs - lastMs < restMs) return
    lastMs = nowMs
    const at = new Date().toISOString().replaceAll(/[:.]/g, '-')
    const path = join(directory, `socket-leak-guard-${process.pid}-${at}-${why}.json`)
    isWriting = true
    const saving = startSaving(path, source.reportInSteps(), { isRedacted: redact, makeRoom: giveUpReserve })
    const onExit = () => quietly(saving.finishNow)
    process.once('exit', onExit)
    saving.saved
      .then((file) => {
        files.push(file)
        for (const old of files.splice(0, files.length - MOST_FILES)) remove(old)
      })
      .catch(fail)
      .finally(() => {
        process.off('exit', onExit)
        isWriting = false
        if (isOver) giveUpReserve()
        else reserve ??= keepReserve()
      })
  }

  function giveUpReserve(): void {
    const fd = reserve
    reserve = null
    // The application closes numbers that are not its own.
    if (fd !== null) quietly(() => closeSync(fd))
  }

  function onSignal(): void {
    try {
      source.runDetached(save, 'signal', SIGNAL_REST_MS)
    } catch (error) {
      fail(error)
    }
  }

  let isOver = false
  const timer = source.runDetached(setInterval, look, LOOK_MS).unref()
  if (signal !== null) process.on(signal, onSignal)

  return function stopWatching() {
    isOver = true
    clearInterval(timer)
    if (signal !== null) process.off(signal, onSignal)
    if (!isWriting) giveUpReserve()
  }
}

function keepReserve(): number | null {
  try {
    return openSync(devNull, 'r')
  } catch {
    return null
  }
}

function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // Nobody is left to tell.
  }
}

function fail(error: unknown): void {
  warnOnce('SLG_ERR_SAVE_REPORT', messageOf(error))
}
