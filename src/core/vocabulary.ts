/**
 * The words of the project, each a closed set. TCP words mean what RFC 9293 and `ss` say;
 * phases (lower case, what Node's streams show) and kernel states (upper case) never share a field.
 */

/** Where a connection stands as far as Node's streams can tell. */
export const PHASES = ['connecting', 'open', 'peer-ended', 'local-ended', 'closing', 'closed'] as const
export type Phase = (typeof PHASES)[number]

/** The state of the connection in the kernel, spelled as in the RFC. `CLOSE` has left the kernel's tables. */
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
 * How a socket is stuck.
 *
 * - `eof-ignored`: the peer's FIN was delivered to the application, which never ended its own side
 * - `eof-unread`: the FIN reached Node but waits behind bytes that nobody reads
 * - `fin-unseen`: the handle is not reading, so the FIN is still in the kernel
 * - `window-closed`: our receive buffer is full; a FIN may be waiting behind it
 * - `reset-unseen`: the connection is dead in the kernel and Node has not noticed
 * - `fin-wait`: the application ended its side, the peer never ends
 * - `write-stalled`: unsent bytes do not drain
 * - `closed-unread`: both sides closed in good order, but unread bytes keep the descriptor open
 * - `self-connected`: a client connected to its own address and port (simultaneous open)
 * - `abandoned`: the other connection of its pair has left, and nobody told this one; only with `propagateAbort`
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
 * What the guard makes of it.
 *
 * `none` → `suspect` (something ended or stalled; grace runs) → `leaked` (grace over without progress) →
 * `recovered` (the application put it right) or `reclaimed` (the guard did). `dead`: proven dead and reclaimed
 * without waiting for grace. `exempt`: the application said that this half-close is meant. `stalled`: open both ways, and no
 * byte moves because the application has paused it or the peer takes nothing. That is no leak: it is told and counted by
 * itself.
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

/** The verdict changes that are announced, as events and as `socket-leak-guard:*` diagnostics channels. */
export const EVENT_TYPES = ['suspect', 'leaked', 'stalled', 'recovered', 'reclaimed', 'dead'] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** What ties an inbound and an outbound connection together: bytes are piped between them, or one was opened for the other. */
export const TIES = ['pipe', 'context'] as const
export type Tie = (typeof TIES)[number]

/** What a connection carries, as far as anybody told the guard. */
export const KINDS = ['tcp', 'tls', 'http', 'upgrade', 'connect', 'websocket', 'pipe'] as const
export type Kind = (typeof KINDS)[number]

/** `inbound`: accepted by a server here. `outbound`: opened from here. */
export type Direction = 'inbound' | 'outbound'

/** Which sensor supplied the decisive evidence. */
export type Sensor = 'stream' | 'oracle' | 'kernel'

/** What can be done to a leaked socket. */
export const ACTIONS = ['report', 'end', 'destroy', 'reset'] as const
export type Action = (typeof ACTIONS)[number]

/** Settings that leak sooner or later, by name. */
export const LINT_RULES = [
  'half-open-unheard',
  'upgrade-unheld',
  'no-request-timeout',
  'keep-alive-race',
  'keep-alive-lost',
] as const
export type LintRule = (typeof LINT_RULES)[number]
