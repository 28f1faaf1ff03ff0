// The project's words. Phases (lower case, from Node's streams) and kernel states (upper case) never share a field.

/** Where a connection stands according to Node's streams. */
export const PHASES = ['connecting', 'open', 'peer-ended', 'local-ended', 'closing', 'closed'] as const
export type Phase = (typeof PHASES)[number]

/** The TCP state in the kernel (RFC 9293). `CLOSE` has left the kernel's tables. */
export const KERNEL_STATES = [
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
] as const
export type KernelState = (typeof KERNEL_STATES)[number]

/**
 * How a socket is stuck:
 * - `eof-ignored`: the application got the peer's FIN and never ended its own side
 * - `eof-unread`: the FIN reached Node and waits behind bytes that nobody reads
 * - `fin-unseen`: the handle is not reading, so the FIN is still in the kernel
 * - `window-closed`: our receive buffer is full; a FIN may wait behind it
 * - `reset-unseen`: the kernel has closed the connection and Node has not noticed
 * - `fin-wait`: the application ended its side, the peer does not end
 * - `write-stalled`: unsent bytes do not drain
 * - `closed-unread`: both sides closed in good order, but unread bytes keep the descriptor open
 * - `self-connected`: a client connected to its own address and port (simultaneous open)
 * - `abandoned`: the other connection of its pair is gone and this one was not told
 */
export const CONDITIONS = [
  'eof-ignored',
  'eof-unread',
  'fin-unseen',
  'window-closed',
  'reset-unseen',
  'fin-wait',
  'write-stalled',
  'closed-unread',
  'self-connected',
  'abandoned',
] as const
export type Condition = (typeof CONDITIONS)[number]

/**
 * What the guard makes of it: `none` → `suspect` (something ended or stalled, grace runs) → `leaked` (grace over
 * without progress) → `recovered` (closed or healed by the application) or `reclaimed` (closed by the guard).
 *
 * `dead`: proven dead and closed without grace. `exempt`: the application means this half-close. `stalled`: open both
 * ways without progress; no leak, and counted apart.
 */
export const VERDICTS = [
  'none',
  'suspect',
  'leaked',
  'recovered',
  'reclaimed',
  'dead',
  'exempt',
  'stalled',
] as const
export type Verdict = (typeof VERDICTS)[number]

/** Verdict changes, sent as events and on the diagnostics channels `socket-leak-guard:*`. */
export const EVENT_TYPES = ['suspect', 'leaked', 'stalled', 'recovered', 'reclaimed', 'dead'] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** How two connections belong together: one is piped to the other, or was opened for it. */
export const TIES = ['pipe', 'context'] as const
export type Tie = (typeof TIES)[number]

export const KINDS = ['tcp', 'tls', 'http', 'h2', 'upgrade', 'connect', 'websocket', 'pipe'] as const
export type Kind = (typeof KINDS)[number]

/** `inbound`: accepted by a server here. `outbound`: opened from here. */
export const DIRECTIONS = ['inbound', 'outbound'] as const
export type Direction = (typeof DIRECTIONS)[number]

export type Sensor = 'stream' | 'oracle' | 'kernel'

export const ACTIONS = ['report', 'end', 'destroy', 'reset'] as const
export type Action = (typeof ACTIONS)[number]

/** What the guard catches: errors of its own, of a kernel probe, and of functions that it was given. */
export const FAULTS = [
  'SLG_WARN_INTERNAL',
  'SLG_WARN_KERNEL',
  'SLG_WARN_CONTEXT',
  'SLG_WARN_LISTENER',
  'SLG_WARN_ACTION',
] as const
export type Fault = (typeof FAULTS)[number]

export const LINT_RULES = [
  'half-open-unheard',
  'upgrade-unheld',
  'no-request-timeout',
  'keep-alive-race',
  'keep-alive-lost',
] as const
export type LintRule = (typeof LINT_RULES)[number]
