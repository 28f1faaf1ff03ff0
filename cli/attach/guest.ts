// What runs in the other process. Each function is sent as text, so it refers to nothing outside of itself.
import type { Guard, Report } from '../../src/index.js'
import type { Action } from '../../src/core/vocabulary.js'

export interface Stay {
  /** The CommonJS preload. */
  readonly file: string
  /** Its options, by variable. */
  readonly env: Readonly<Record<string, string>>
  /** We opened the inspector. */
  readonly isInspectorOurs: boolean
  /** If nobody calls for so long, it leaves by itself. */
  readonly patienceMs: number
}

/** Kept in the other process between the calls. */
interface Visit {
  readonly guard: Guard
  readonly takeOver: ((options: object) => void) | undefined
  stay(): void
  leave(keepsGuard: boolean): void
}

export interface Arrival {
  /** A guard was there already. */
  readonly isGuarded: boolean
  readonly graceMs: number
  /** Why there is no guard, or `null`. */
  readonly refusal: string | null
}

export function enter({ file, env, isInspectorOurs, patienceMs }: Stay): Arrival {
  const { Socket } = process.getBuiltinModule('node:net') as unknown as { Socket: Record<symbol, unknown> }
  const timers = process.getBuiltinModule('node:timers')
  const slotOf = (name: string): symbol => Symbol.for(`socket-leak-guard/${name}/v1`)
  const earlier = Socket[slotOf('visit')] as Visit | undefined
  earlier?.leave(false)
  const present = Socket[slotOf('guard')] as Guard | undefined
  let warning = ''
  if (present === undefined) {
    const require = process.getBuiltinModule('node:module').createRequire(file)
    const ofUser = Object.entries(process.env).filter(([name]) => name.startsWith('SOCKET_LEAK_GUARD_'))
    const { emitWarning } = process
    try {
      for (const [name] of ofUser) delete process.env[name]
      Object.assign(process.env, env)
      process.emitWarning = (message: unknown) => {
        warning = String(message)
      }
      delete require.cache[file]
      require(file)
    } finally {
      process.emitWarning = emitWarning
      for (const name of Object.keys(env)) delete process.env[name]
      for (const [name, value] of ofUser) process.env[name] = value
      delete require.cache[file]
    }
  }
  const guard = Socket[slotOf('guard')] as Guard | undefined

  function leave(keepsGuard: boolean): void {
    timers.clearTimeout(timer)
    delete Socket[slotOf('visit')]
    if (present === undefined && !keepsGuard) guard?.uninstall()
    // After the answer has gone, and our side is closed: close() blocks until the last client has left.
    if (isInspectorOurs)
      timers.setTimeout(() => process.getBuiltinModule('node:inspector').close(), 250).unref()
  }

  const timer = timers.setTimeout(leave, patienceMs, false).unref()
  const visit: Visit | undefined = guard && {
    guard,
    takeOver: Socket[slotOf('take-over')] as Visit['takeOver'],
    stay: () => void timer.refresh(),
    leave,
  }
  if (visit === undefined) leave(false)
  else Object.defineProperty(Socket, slotOf('visit'), { value: visit, configurable: true })
  return {
    isGuarded: present !== undefined,
    graceMs: guard?.options.graceMs ?? 0,
    refusal: guard === undefined ? warning : null,
  }
}

/** Makes a page of the report at one go. */
export function look({ sweeps, ...page }: { sweeps?: boolean; limit: number; after?: number }): Report {
  const net = process.getBuiltinModule('node:net') as unknown as { Socket: Record<symbol, Visit> }
  const visit = net.Socket[Symbol.for('socket-leak-guard/visit/v1')]!
  visit.stay()
  return sweeps === true ? visit.guard.sweep(page) : visit.guard.snapshot(page)
}

export function locate(id: number): ReturnType<Guard['locate']> | null {
  const net = process.getBuiltinModule('node:net') as unknown as { Socket: Record<symbol, Visit> }
  const visit = net.Socket[Symbol.for('socket-leak-guard/visit/v1')]!
  visit.stay()
  try {
    return visit.guard.locate(id)
  } catch {
    return null
  }
}

/** @returns how many sockets are being closed */
export function reclaim({ ids, action }: { ids: number[]; action: Exclude<Action, 'report'> }): number {
  const net = process.getBuiltinModule('node:net') as unknown as { Socket: Record<symbol, Visit> }
  const visit = net.Socket[Symbol.for('socket-leak-guard/visit/v1')]!
  visit.stay()
  let begun = 0
  for (const id of ids) {
    try {
      visit.guard.reclaim(id, action)
      begun += 1
    } catch {
      // It was closed meanwhile.
    }
  }
  return begun
}

/** The guard stays, with what the preload would do, and an endpoint. @returns its URL */
export async function settle(options: object): Promise<string> {
  const net = process.getBuiltinModule('node:net') as unknown as { Socket: Record<symbol, unknown> }
  const visit = net.Socket[Symbol.for('socket-leak-guard/visit/v1')] as Visit
  visit.stay()
  visit.takeOver?.(options)
  // An install() of the application may still take it over.
  net.Socket[Symbol.for('socket-leak-guard/take-over/v1')] = visit.takeOver
  return (await visit.guard.listening)?.url ?? ''
}

export function depart(keepsGuard: boolean): null {
  const net = process.getBuiltinModule('node:net') as unknown as { Socket: Record<symbol, Visit | undefined> }
  net.Socket[Symbol.for('socket-leak-guard/visit/v1')]?.leave(keepsGuard)
  return null
}
