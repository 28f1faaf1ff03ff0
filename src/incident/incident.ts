// Writes a report to a file: when it is asked to, and by itself, for the morning after. Loaded by whoever has the option
// `incident` or calls `saveReport()`; at start, because without free descriptors nothing can be loaded. For the same reason a
// descriptor is kept in reserve.
import { closeSync, openSync, renameSync, rmSync, write } from 'node:fs'
import { devNull } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { threadId } from 'node:worker_threads'
import type { RunDetached } from '../base/detached.js'
import { SocketLeakGuardError } from '../base/errors.js'
import { clearInterval, monotonicMs, setInterval } from '../base/real-time.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import type { Report } from '../core/report.js'
import type { IncidentPolicy } from '../options/options.js'
import { renderJson } from '../report/json.js'
import { createRedaction } from './redact.js'

const LOOK_MS = 1000
/** Between two files of its own; a signal is heeded at most once a second. */
const REST_MS = 600_000
const SIGNAL_REST_MS = 1000
/** The oldest is removed. */
const MOST_FILES = 10
const NEARLY_FULL = 0.9

export interface IncidentSource {
  readonly runDetached: RunDetached
  report(): Report
  sample(): { leaked: number; openDescriptors: number | null; descriptorLimit: number | null }
}

let saves = 0

/** Readable by the owner alone, and whole or not at all. Rejects with `SLG_ERR_SAVE_REPORT`. @returns the absolute path */
export async function saveReport(report: Report, path: string, isRedacted: boolean): Promise<string> {
  const target = resolve(path)
  saves += 1
  const temporary = `${target}.${process.pid}-${threadId}-${saves}.tmp`
  try {
    // Of an earlier process with this id.
    remove(temporary)
    await writeWhole(temporary, renderJson(isRedacted ? createRedaction()(report) : report))
    renameSync(temporary, target)
    return target
  } catch (error) {
    remove(temporary)
    throw new SocketLeakGuardError('SLG_ERR_SAVE_REPORT', `the report can't be saved: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const fd = openSync(path, 'wx', 0o600)
  try {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length;) at += (await promisify(write)(fd, bytes, at)).bytesWritten
  } finally {
    closeSync(fd)
  }
}

/** @returns a function that ends the watch */
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
    const report = source.report()
    isWriting = true
    giveUp(reserve)
    saveReport(report, join(directory, `socket-leak-guard-${process.pid}-${at}-${why}.json`), redact)
      .then((file) => {
        files.push(file)
        for (const old of files.splice(0, files.length - MOST_FILES)) remove(old)
      })
      .catch(fail)
      .finally(() => {
        isWriting = false
        reserve = isOver ? null : keepReserve()
      })
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
    if (!isWriting) giveUp(reserve)
  }
}

function remove(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // Its folder is gone.
  }
}

function giveUp(reserve: number | null): void {
  try {
    if (reserve !== null) closeSync(reserve)
  } catch {
    // The application closes numbers that are not its own.
  }
}

function keepReserve(): number | null {
  try {
    return openSync(devNull, 'r')
  } catch {
    return null
  }
}

function fail(error: unknown): void {
  warnOnce('SLG_ERR_SAVE_REPORT', messageOf(error))
}
