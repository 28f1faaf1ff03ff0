// The options. `'off'`, `false` and `null` switch an option off; `undefined` leaves it out.
import type { ActionChooser, SocketPolicy } from '../judge/policy.js'
import type { Action } from '../core/vocabulary.js'
import { describeValue } from '../base/errors.js'
import type { ContextProvider } from '../owner/context/provider.js'
import type { KernelProbe } from '../kernel/probe.js'
import { asOptionError, invalidOption, isOptionBag, readFields, type Fields, type Hint } from './rules.js'
import { OPTION_NAMES, OPTIONS } from './table.js'

export type { ActionChooser }
/** Gets one line of the leak log, without a line end. An exception causes one warning. */
export type LogFunction = (line: string) => void

export type KernelChoice = 'auto' | 'ffi' | 'proc' | 'off'
export type ContextChoice = 'auto' | 'async-local-storage' | 'cls-hooked' | 'off'
export type StacksChoice = 'off' | 'sampled' | 'always'

export type Off = 'off' | false | null

/** The kernel counts whole seconds; milliseconds are rounded up. */
export interface KeepAliveOptions {
  /** Milliseconds without traffic before the first probe (TCP_KEEPIDLE), 1000 to 32767000. @default 30000 */
  idleMs?: number | undefined
  /**
   * Milliseconds between two unanswered probes (TCP_KEEPINTVL), 1000 to 32767000. Needs Node 24.19, 26.4 or the `ffi`
   * probe, as `count` does: older Nodes force 1 s and 10 (deps/uv, uv_tcp_keepalive). @default 5000
   */
  intervalMs?: number | undefined
  /** Unanswered probes that end the connection (TCP_KEEPCNT), 1 to 127. @default 4 */
  count?: number | undefined
  /** Probe suspects, or each socket. @default 'suspect' */
  when?: 'suspect' | 'always' | undefined
}

export interface PressureOptions {
  /** Share of RLIMIT_NOFILE at which the grace begins to shrink; above 0, below `to`. @default 0.7 */
  from?: number | undefined
  /** Share of RLIMIT_NOFILE at which the grace is `floorMs`; at most 1. @default 0.9 */
  to?: number | undefined
  /** The shortest grace in milliseconds, 0 to 2147483647. @default 1000 */
  floorMs?: number | undefined
  /** Close the oldest suspects beyond this number, 1 to 2147483647, or off. @default null */
  maxSuspects?: number | Off | undefined
}

/** Options that may differ by server, for `guardServer(server, options)` and `guard.configure()`. */
export interface PolicyOptions {
  /** Milliseconds without a byte after which a suspect is leaked, 0 to 2147483647. @default 60000 */
  graceMs?: number | undefined
  /** Most milliseconds of a half-close, 1 to 2147483647, or off. Cuts slow transfers short. @default null */
  maxHalfClosedMs?: number | Off | undefined
  /**
   * What to do with a leaked socket, or a function that chooses. `report`: nothing else. `end`: the gentlest remedy for
   * its condition, then `destroy`, then `reset`, each after `escalateMs`. `destroy`: `socket.destroy()`. `reset`: RST.
   * All but `report` may lose unsent bytes. @default 'report'
   */
  action?: Action | ActionChooser | undefined
  /** Milliseconds before the next stronger remedy, 0 to 2147483647. @default 5000 */
  escalateMs?: number | undefined
  /** Destroy a socket at once, whatever `action` says, if closing it provably loses nothing. @default true */
  reclaimDead?: boolean | undefined
  /**
   * Keep-alive probes tell a legal half-close from a dead peer. An application's own setting stays.
   * @default { idleMs: 30000, intervalMs: 5000, count: 4, when: 'suspect' }
   */
  keepAlive?: KeepAliveOptions | Off | undefined
  /**
   * Start a grace on one connection of a pair, as `abandoned`, when the other ends in the middle of their exchange.
   * `pipe` (or `true`): for connections piped together. `context`: also for outgoing HTTP requests made in the work of
   * a request whose client left. The accepted connection's setting counts. @default null
   */
  propagateAbort?: 'pipe' | 'context' | true | Off | undefined
  /** For connections that are open both ways and don't move. @default { graceMs: null, action: 'report' } */
  stalled?: StallOptions | undefined
}

export interface StallOptions {
  /** Milliseconds, 0 to 2147483647; `null` for the grace of a leak. @default null */
  graceMs?: number | Off | undefined
  /** As the option `action`. @default 'report' */
  action?: Action | ActionChooser | undefined
}

/** For `install()`; the preload reads them from `SOCKET_LEAK_GUARD_GRACE_MS` and so on. */
export interface InstallOptions extends PolicyOptions {
  /** Milliseconds between two sweeps, 10 to 2147483647. @default 5000 */
  sweepMs?: number | undefined
  /**
   * How to ask the kernel about suspects: `ffi` (koffi, if installed: TCP_INFO and poll), `proc` (Linux:
   * /proc/self/net), `off`, or your own probe; `auto` takes the best. @default 'auto'
   */
  kernel?: KernelChoice | KernelProbe | undefined
  /**
   * How to find a socket's request: `async-local-storage`, `cls-hooked` (if the application runs it), `off`, or your
   * own provider; `auto` takes AsyncLocalStorage where it is nearly free. @default 'auto'
   */
  context?: ContextChoice | ContextProvider | undefined
  /** Record stacks of creation and access for a sample of sockets, or for each, which is costly. @default 'off' */
  stacks?: StacksChoice | undefined
  /** Find the code that holds the first leaked socket of each site, as `guard.locate()` does. @default 'off' */
  code?: CodeChoice | undefined
  /** Address of the report endpoint, such as `127.0.0.1:9465` or `unix:/run/app.sock`, or off. @default null */
  report?: string | false | null | undefined
  /** Bearer token of the report: at least 8 visible ASCII characters. Required beyond loopback. @default null */
  reportToken?: string | false | null | undefined
  /**
   * TCP_USER_TIMEOUT (tcp(7)): milliseconds that sent bytes may stay unacknowledged, 1 to 2147483647, or off for the
   * kernel's limit. Needs the `ffi` probe. @default null
   */
  userTimeoutMs?: number | Off | undefined
  /** Shorten the grace as descriptors run out. `true` takes the defaults. @default null */
  pressure?: true | PressureOptions | Off | undefined
  /** Log leaks as they happen: one line for each site and interval, and one when a site has healed. @default null */
  log?: 'stderr' | LogFunction | Off | undefined
  /** Milliseconds between two lines about a site, 0 to 2147483647. @default 60000 */
  logIntervalMs?: number | undefined
  /** Save reports as files when leaks are many, as descriptors run out, and on a signal. @default null */
  incident?: IncidentOptions | Off | undefined
}

export interface IncidentOptions {
  /** The folder for the files. @default '.' */
  dir?: string | undefined
  /** How many leaked sockets are worth a file, 1 to 2147483647, or off. @default 100 */
  atLeaked?: number | Off | undefined
  /** A signal that asks for a file; it no longer ends the process. @default null */
  signal?: IncidentPolicy['signal'] | Off | undefined
  /** Hide addresses, hosts, paths, labels, context values and lines of code. @default false */
  redact?: boolean | undefined
}

export interface IncidentPolicy {
  readonly dir: string
  readonly atLeaked: number | null
  readonly signal: 'SIGUSR2' | 'SIGHUP' | 'SIGQUIT' | null
  readonly redact: boolean
}

export type CodeChoice = 'off' | 'once'

export interface PressurePolicy {
  readonly from: number
  readonly to: number
  readonly floorMs: number
  readonly maxSuspects: number | null
}

/** All options with their values, frozen, except for the application's own objects and functions. */
export interface ResolvedOptions extends SocketPolicy {
  readonly sweepMs: number
  readonly kernel: KernelChoice | KernelProbe
  readonly context: ContextChoice | ContextProvider
  readonly stacks: StacksChoice
  readonly code: CodeChoice
  readonly report: string | null
  /** Not enumerable, so that printing the options does not show it. */
  readonly reportToken: string | null
  readonly userTimeoutMs: number | null
  readonly pressure: PressurePolicy | null
  readonly log: 'stderr' | LogFunction | null
  readonly logIntervalMs: number
  readonly incident: IncidentPolicy | null
}

const INSTALL_FIELDS = fieldsOf(OPTION_NAMES) as Fields<ResolvedOptions>
const POLICY_FIELDS = fieldsOf(OPTION_NAMES.filter((name) => OPTIONS[name].perServer)) as Fields<SocketPolicy>

function fieldsOf(names: readonly (keyof ResolvedOptions)[]): unknown {
  return Object.fromEntries(names.map((name) => [name, OPTIONS[name].rule]))
}

export const DEFAULTS: ResolvedOptions = Object.freeze(
  Object.fromEntries(OPTION_NAMES.map((name) => [name, OPTIONS[name].default])) as unknown as ResolvedOptions,
)

// Throws `SLG_ERR_INVALID_OPTION` or `SLG_ERR_UNKNOWN_OPTION`, and nothing else.
export function resolveOptions(input: unknown, base: ResolvedOptions = DEFAULTS): ResolvedOptions {
  return resolve(input, INSTALL_FIELDS, base)
}

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

export function sameOptions(a: ResolvedOptions, b: ResolvedOptions): boolean {
  return OPTION_NAMES.every((name) => {
    if (a[name] === b[name]) return true
    const hasFields = name === 'keepAlive' || name === 'pressure' || name === 'stalled' || name === 'incident'
    return hasFields && haveSameFields(a[name], b[name])
  })
}

function haveSameFields(a: object | false | null, b: object | false | null): boolean {
  if (!a || !b) return false
  return Object.entries(a).every(([key, value]) => value === (b as Record<string, unknown>)[key])
}
