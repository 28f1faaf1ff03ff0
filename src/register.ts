/**
 * The preload entry: `node --require socket-leak-guard/register app.js`, `--import`, or either in NODE_OPTIONS.
 * Reads `SOCKET_LEAK_GUARD_*` and installs the guard.
 *
 * Whatever is wrong, the application starts: the guard says why in one process warning and stays off. It does not run with half of what was asked for: `SOCKET_LEAK_GUARD_ACTION=reset` next to a
 * misspelt grace would reset connections by rules that nobody chose.
 *
 * - `--require` reaches every worker thread; `--import` does not reach `new Worker(code, { eval: true })`
 * - a worker has a guard of its own, but no report endpoint: the address is the main thread's
 * - a child process that inherits NODE_OPTIONS does the same as its parent; the address is taken then, which is one
 *   warning (`SLG_ERR_REPORT_LISTEN`) and nothing more
 * - preloaded twice, or with an `install()` in the application, which takes the guard over: one guard
 * - `--require` gets the same as one CommonJS file, so that it loads no ES module and also works where `require()`
 *   can't load one (`--no-experimental-require-module`)
 */
import { isDisabled, readEnvironment } from './options/env.js'
import { SocketLeakGuardError, type ErrorCode } from './base/errors.js'
import { installPreloaded } from './install.js'
import { isSupportedNode, SUPPORTED_NODE } from './base/node-version.js'
import type { InstallOptions } from './options/options.js'
import { messageOf, warnOnce } from './base/warnings.js'

guardThisThread()

function guardThisThread(): void {
  try {
    if (isThreadOfNode()) return
    if (isDisabled(process.env)) return
    if (!isSupportedNode(process.version)) {
      stayOff('SLG_ERR_UNSUPPORTED_NODE', `this is Node ${process.version}, and it needs ${SUPPORTED_NODE}`)
      return
    }
    const { options, problems } = readEnvironment(process.env)
    if (problems.length > 0) stayOff('SLG_ERR_INVALID_ENV', problems.map(messageOf).join('\n'))
    else installPreloaded(isMainThread() ? options : withoutReport(options))
  } catch (error) {
    stayOff(error instanceof SocketLeakGuardError ? error.code : 'SLG_WARN_INTERNAL', messageOf(error))
  }
}

function withoutReport(options: InstallOptions): InstallOptions {
  return { ...options, report: undefined, reportToken: undefined }
}

/** What is wrong in another thread was wrong in the main thread before, and was told there. */
function stayOff(code: ErrorCode | 'SLG_WARN_INTERNAL', reason: string): void {
  if (!isMainThread()) return
  warnOnce(code, `the guard stays off: ${reason}`)
}

/** The thread for loader hooks that `module.register()` makes runs every `--require` again, and has no sockets. */
function isThreadOfNode(): boolean {
  if (isMainThread()) return false
  const threads = process.getBuiltinModule('node:worker_threads') as { isInternalThread?: boolean }
  return threads.isInternalThread === true
}

/**
 * As `isMainThread` of node:worker_threads says, without loading that. A worker can't abort the process: there the function is a
 * stub that is marked (lib/internal/process/worker_thread_only.js `unavailable`; same on 20, 22, 24 and 26).
 */
function isMainThread(): boolean {
  return (process.abort as { disabled?: boolean }).disabled !== true
}
