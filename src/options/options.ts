/**
 * What can be asked of the guard, and the one reader of raw options. Where an option can be off, `'off'`, `false` and
 * `null` mean the same. `undefined` is the same as leaving the option out.
 */
import type { ActionChooser, SocketPolicy } from '../judge/policy.js'
import type { Action } from '../core/vocabulary.js'
import { describeValue } from '../base/errors.js'
import type { ContextProvider } from '../owner/context/provider.js'
import type { KernelProbe } from '../kernel/probe.js'
import { asOptionError, invalidOption, isOptionBag, readFields, type Fields, type Hint } from './rules.js'
import { OPTION_NAMES, OPTIONS } from './table.js'

export type { ActionChooser }
/** Takes one line of the leak log, without a line end. What it throws is warned about once. */
export type LogFunction = (line: string) => void

export type KernelChoice = 'auto' | 'ffi' | 'proc' | 'off'
export type ContextChoice = 'auto' | 'async-local-storage' | 'cls-hooked' | 'off'
export type StacksChoice = 'off' | 'sampled' | 'always'

export type Off = 'off' | false | null

/** What is left out has its default. The kernel counts whole seconds: milliseconds are rounded up to them. */
export interface KeepAliveOptions {
  /** Milliseconds without traffic before the first probe (TCP_KEEPIDLE), 1000 to 32767000. @default 30000 */
  idleMs?: number | undefined
  /**
   * Milliseconds between two unanswered probes (TCP_KEEPINTVL), 1000 to 32767000. Node takes this and `count` from 24.19
   * and 26.4 on; before, it forces 1 s and 10 (deps/uv, uv_tcp_keepalive), and only the `ffi` probe can set the two.
   * @default 5000
   */
  intervalMs?: number | undefined
  /** Unanswered probes after which the kernel closes the connection (TCP_KEEPCNT), 1 to 127. @default 4 */
  count?: number | undefined
  /** `suspect`: a healthy socket sends nothing more; `always`: on every socket. @default 'suspect' */
  when?: 'suspect' | 'always' | undefined
}

/** What is left out has its default. */
export interface PressureOptions {
  /** Share of RLIMIT_NOFILE in use from which the grace shrinks; above 0, less than `to`. @default 0.7 */
  from?: number | undefined
  /** Share of RLIMIT_NOFILE in use at which only `floorMs` is left of the grace; at most 1. @default 0.9 */
  to?: number | undefined
  /** The shortest grace in milliseconds, 0 to 2147483647. @default 1000 */
  floorMs?: number | undefined
  /** The most suspects that may wait out their grace at the same time, 1 to 2147483647, or off. @default null */
  maxSuspects?: number | Off | undefined
}

/** What may differ from server to server: `guardServer(server, options)` and `guard.configure()` take these. */
export interface PolicyOptions {
  /**
   * Milliseconds without a byte in either direction after which a suspect is leaked: 0 (at once) to 2147483647.
   * @default 60000
   */
  graceMs?: number | undefined
  /**
   * The most milliseconds that a half-close may last, progress or not: 1 to 2147483647, or off. Cuts legal, slow
   * transfers short.
   * @default null
   */
  maxHalfClosedMs?: number | Off | undefined
  /**
   * What is done with a leaked socket; a function chooses for each. `report`: it is told. `end`: the graceful remedy for
   * its condition, then `destroy`, then `reset`, each after `escalateMs`. `destroy`: `socket.destroy()`. `reset`: RST.
   * All but `report` may lose bytes that were not yet sent.
   * @default 'report'
   */
  action?: Action | ActionChooser | undefined
  /** Milliseconds from one remedy to the next stronger one, 0 to 2147483647. @default 5000 */
  escalateMs?: number | undefined
  /**
   * Destroy a socket at once, whatever `action` says, when the kernel has closed the connection and the end of its
   * stream was consumed, so that nothing is lost.
   * @default true
   */
  reclaimDead?: boolean | undefined
  /**
   * Keep-alive probes tell a legal half-close, whose peer answers, from a dead peer. What the application has set itself
   * stays. Costs one small packet and its answer for each probe. Off: a peer that vanished in silence is not found out.
   * @default { idleMs: 30000, intervalMs: 5000, count: 4, when: 'suspect' }
   */
  keepAlive?: KeepAliveOptions | Off | undefined
  /**
   * Brings one connection of a pair into grace, as `abandoned`, when the other ends or closes in the middle of their
   * conversation. `pipe` (or `true`): pairs between which bytes are piped. `context`: also outgoing HTTP requests made in
   * the work of a request whose client has left. The setting of the accepted connection counts.
   * @default null
   */
  propagateAbort?: 'pipe' | 'context' | true | Off | undefined
  /**
   * A connection that is open both ways and does not move is no leak. After `graceMs` it is told as `stalled`, and the
   * `action` in here is taken instead of the general one.
   * @default { graceMs: null, action: 'report' }
   */
  stalled?: StallOptions | undefined
}

export interface StallOptions {
  /** Milliseconds, 0 to 2147483647; `null`: as long as the grace of a leak. @default null */
  graceMs?: number | Off | undefined
  /** As the option `action`. All but `report` may lose bytes. @default 'report' */
  action?: Action | ActionChooser | undefined
}

/** What `install()` takes, and the preload entry from the environment: `SOCKET_LEAK_GUARD_GRACE_MS` and so on. */
export interface InstallOptions extends PolicyOptions {
  /** Milliseconds between two looks at all tracked sockets, 10 to 2147483647. @default 5000 */
  sweepMs?: number | undefined
  /**
   * How the kernel is asked about suspects: `ffi` (koffi, if installed: TCP_INFO and poll), `proc` (Linux:
   * /proc/self/net), `off`, or a probe of your own; `auto` takes the best there is.
   * @default 'auto'
   */
  kernel?: KernelChoice | KernelProbe | undefined
  /**
   * Where the owner of a socket is looked up: `async-local-storage`, `cls-hooked` (for an application that already runs
   * it), `off`, or a provider of your own; `auto` takes AsyncLocalStorage where it costs next to nothing.
   * @default 'auto'
   */
  context?: ContextChoice | ContextProvider | undefined
  /** Of how many sockets the stacks of creation and last access are recorded. `always` is costly. @default 'off' */
  stacks?: StacksChoice | undefined
  /** Where the report endpoint listens, such as `127.0.0.1:9465` or `unix:/run/app.sock`, or off. @default null */
  report?: string | false | null | undefined
  /**
   * Bearer token that the report endpoint requires: at least 8 visible ASCII characters, or off. An address that is not
   * loopback needs one.
   * @default null
   */
  reportToken?: string | false | null | undefined
  /**
   * TCP_USER_TIMEOUT (tcp(7)): milliseconds that sent bytes may stay unacknowledged before the kernel closes the
   * connection, 1 to 2147483647, or off, which leaves the kernel's own limit. Needs the `ffi` probe.
   * @default null
   */
  userTimeoutMs?: number | Off | undefined
  /**
   * Shortens the grace as descriptors run out: from `graceMs` at the share `from` of RLIMIT_NOFILE in straight proportion
   * down to `floorMs` at the share `to`. `true`: with the defaults.
   * @default null
   */
  pressure?: true | PressureOptions | Off | undefined
  /**
   * Where leaks are told as they happen: one line per site and interval, and one when a site has nothing leaked any more.
   * @default null
   */
  log?: 'stderr' | LogFunction | Off | undefined
  /** The least milliseconds between two lines about the same site, 0 to 2147483647. @default 60000 */
  logIntervalMs?: number | undefined
}

export interface PressurePolicy {
  readonly from: number
  readonly to: number
  readonly floorMs: number
  readonly maxSuspects: number | null
}

/** Every option with its value: frozen, but for a probe, a provider or a function of the application's own. */
export interface ResolvedOptions extends SocketPolicy {
  readonly sweepMs: number
  readonly kernel: KernelChoice | KernelProbe
  readonly context: ContextChoice | ContextProvider
  readonly stacks: StacksChoice
  readonly report: string | null
  /** Not enumerable where there is one: it does not show where the options are printed or copied. */
  readonly reportToken: string | null
  readonly userTimeoutMs: number | null
  readonly pressure: PressurePolicy | null
  readonly log: 'stderr' | LogFunction | null
  readonly logIntervalMs: number
}

const INSTALL_FIELDS = fieldsOf(OPTION_NAMES) as Fields<ResolvedOptions>
const POLICY_FIELDS = fieldsOf(OPTION_NAMES.filter((name) => OPTIONS[name].perServer)) as Fields<SocketPolicy>

function fieldsOf(names: readonly (keyof ResolvedOptions)[]): unknown {
  return Object.fromEntries(names.map((name) => [name, OPTIONS[name].rule]))
}

export const DEFAULTS: ResolvedOptions = Object.freeze(
  Object.fromEntries(OPTION_NAMES.map((name) => [name, OPTIONS[name].default])) as unknown as ResolvedOptions,
)

/**
 * Checks what was given to `install()`. What is left out, also inside of `keepAlive` and `pressure`, is as in `base`.
 *
 * @throws SocketLeakGuardError `SLG_ERR_INVALID_OPTION` or `SLG_ERR_UNKNOWN_OPTION`, and nothing else.
 */
export function resolveOptions(input: unknown, base: ResolvedOptions = DEFAULTS): ResolvedOptions {
  return resolve(input, INSTALL_FIELDS, base)
}

/** The same for one server or socket. */
export function resolvePolicy(input: unknown, base: SocketPolicy): SocketPolicy {
  return resolve(input, POLICY_FIELDS, base, whereItBelongs)
}

function whereItBelongs(key: string): string | null {
  return Object.hasOwn(OPTIONS, key) ? 'it holds for the whole process, so give it to install()' : null
}

function resolve<T extends object>(input: unknown = {}, fields: Fields<T>, base: T, hint?: Hint): T {
  try {
    if (!isOptionBag(input)) throw invalidOption('options', 'a plain object', describeValue(input))
    return readFields(input, fields, base, '', hint)
  } catch (error) {
    throw asOptionError(error, 'options')
  }
}

/** Do both ask for the same? Functions, probes and providers are the same only when they are the very same. */
export function sameOptions(a: ResolvedOptions, b: ResolvedOptions): boolean {
  return OPTION_NAMES.every((name) => {
    if (a[name] === b[name]) return true
    const hasFields = name === 'keepAlive' || name === 'pressure' || name === 'stalled'
    return hasFields && haveSameFields(a[name], b[name])
  })
}

function haveSameFields(a: object | false | null, b: object | false | null): boolean {
  if (!a || !b) return false
  return Object.entries(a).every(([key, value]) => value === (b as Record<string, unknown>)[key])
}
