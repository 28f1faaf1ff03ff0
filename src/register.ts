// The preload: installs the guard with options from `SOCKET_LEAK_GUARD_*`. If anything is wrong, the guard stays off
// with one warning; some of the options without the others could close healthy connections.
// - `--require` reaches each worker thread; `--import` does not reach `new Worker(code, { eval: true })`.
// - A worker has a guard of its own, and no report endpoint unless its path has the thread in it.
// - A child process inherits NODE_OPTIONS and finds the address taken: a warning (`SLG_ERR_REPORT_LISTEN`).
// - `--require` loads a CommonJS build, which works with `--no-experimental-require-module`.
import { isDisabled, readEnvironment, type Environment } from './options/env.js'
import { SocketLeakGuardError, type ErrorCode } from './base/errors.js'
import { installPreloaded } from './install.js'
import { isSupportedNode, SUPPORTED_NODE } from './base/node-version.js'
import type { InstallOptions } from './options/options.js'
import { messageOf, warnOnce } from './base/warnings.js'

guardThisThread()

function guardThisThread(): void {
  try {
    if (isThreadOfNode()) return
    const env = environment()
    if (isDisabled(env)) return
    if (!isSupportedNode(process.version)) {
      stayOff('SLG_ERR_UNSUPPORTED_NODE', `this is Node ${process.version}, and it needs ${SUPPORTED_NODE}`)
      return
    }
    const { options, problems } = readEnvironment(env)
    if (problems.length > 0) stayOff('SLG_ERR_INVALID_ENV', problems.map(messageOf).join('\n'))
    else installPreloaded(isMainThread() ? options : withoutReport(options))
  } catch (error) {
    stayOff(error instanceof SocketLeakGuardError ? error.code : 'SLG_WARN_INTERNAL', messageOf(error))
  }
}

/** PM2 gives a cluster's worker its environment in one variable, set only later (PM2 7.0, lib/ProcessContainer.js). */
function environment(): Environment {
  try {
    const ofWorker: unknown = JSON.parse(process.env.pm2_env ?? 'null')
    if (typeof ofWorker !== 'object' || ofWorker === null) return process.env
    const given = Object.entries(ofWorker).map(([name, value]) => [name, String(value)] as const)
    return { ...process.env, ...Object.fromEntries(given) }
  } catch {
    // A variable of somebody else.
    return process.env
  }
}

function withoutReport(options: InstallOptions): InstallOptions {
  if (typeof options.report === 'string' && options.report.includes('%t')) return options
  return { ...options, report: undefined, reportToken: undefined }
}

/** The main thread has warned already. */
function stayOff(code: ErrorCode | 'SLG_WARN_INTERNAL', reason: string): void {
  if (!isMainThread()) return
  warnOnce(code, `the guard stays off: ${reason}`)
}

/** `module.register()` starts a thread for loader hooks, which runs each `--require` again and has no sockets. */
function isThreadOfNode(): boolean {
  if (isMainThread()) return false
  const threads = process.getBuiltinModule('node:worker_threads') as { isInternalThread?: boolean }
  return threads.isInternalThread === true
}

// Like `isMainThread` of node:worker_threads without loading it: in a worker `process.abort` is a marked stub
// (lib/internal/process/worker_thread_only.js `unavailable`; same on 20, 22, 24 and 26).
function isMainThread(): boolean {
  return (process.abort as { disabled?: boolean }).disabled !== true
}
