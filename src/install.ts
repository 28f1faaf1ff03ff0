import { Server, Socket } from 'node:net'
import { createGuard, type FreshGuard } from './guard/create-guard.js'
import { SocketLeakGuardError } from './base/errors.js'
import type { Guard } from './guard/guard.js'
import { hasReadableFields } from './socket/fields.js'
import { resolveOptions, sameOptions, type InstallOptions, type ResolvedOptions } from './options/options.js'
import { installedGuard, preloadedGuard, registerGuard, registerPreloaded } from './guard/registry.js'

/**
 * Installs the guard in this process. A second call with the same options, or none, returns the same guard. The first
 * call with options takes a preloaded guard over: they win over the environment. Costs the patches of
 * `socket/patches.ts`, one unref'd timer, and a small record for each socket.
 * @throws `SLG_ERR_UNKNOWN_OPTION`, `SLG_ERR_INVALID_OPTION`, `SLG_ERR_REPORT_NEEDS_TOKEN`, `SLG_ERR_UNSUPPORTED_NODE`,
 * `SLG_ERR_ALREADY_INSTALLED` if there is a guard with other options
 * @example
 *   import { install } from 'socket-leak-guard'
 *   const guard = install({ graceMs: 30_000, action: 'end' })
 */
export function install(input?: InstallOptions): Guard {
  const options = resolveOptions(input)
  const present = installedGuard()
  if (present !== null) {
    if (isEmpty(input) || sameOptions(present.options, options)) return present
    const takeOver = preloadedGuard()
    if (takeOver !== null) {
      takeOver(input)
      return present
    }
    throw new SocketLeakGuardError(
      'SLG_ERR_ALREADY_INSTALLED',
      'a guard with other options is already installed in this process; use installedGuard(), or uninstall() it first',
    )
  }
  return makeGuard(options).guard
}

// A program whose startup snapshot holds a guard hangs (Node 20.20, 22.23, 24.21 and 26.10). `node:v8` is not loaded
// where nobody asks for a snapshot.
function isBuildingSnapshot(): boolean {
  if (!process.execArgv.some((flag) => /^--(?:build-snapshot|build-sea|experimental-sea-config)/.test(flag)))
    return false
  return process.getBuiltinModule('node:v8').startupSnapshot.isBuildingSnapshot()
}

function makeGuard(options: ResolvedOptions): FreshGuard {
  if (isBuildingSnapshot()) {
    throw new SocketLeakGuardError(
      'SLG_ERR_UNSUPPORTED_NODE',
      'a guard does not survive in a startup snapshot: install it in the function that the snapshot runs, or preload it there',
    )
  }
  if (!hasReadableFields(new Socket())) {
    throw new SocketLeakGuardError(
      'SLG_ERR_UNSUPPORTED_NODE',
      `the sockets of this runtime (${process.version}) can't be observed: their state is not where Node keeps it`,
    )
  }
  if (![Socket, Socket.prototype, Server.prototype].every(Object.isExtensible)) {
    throw new SocketLeakGuardError(
      'SLG_ERR_UNSUPPORTED_NODE',
      "the sockets of this process can't be observed: the prototypes of node:net are frozen",
    )
  }
  const { guard, restart } = createGuard(options)
  registerGuard(guard)
  return { guard, restart }
}

export function installPreloaded(input: InstallOptions): void {
  if (installedGuard() !== null) {
    install(input)
    return
  }
  const { guard, restart } = makeGuard(resolveOptions(input))
  registerPreloaded((given) => {
    const options = resolveOptions(given, guard.options)
    if (!sameOptions(guard.options, options)) restart(options)
    registerPreloaded(null)
  })
}

function isEmpty(input: InstallOptions | undefined): boolean {
  return input === undefined || Object.values(input).every((value) => value === undefined)
}
