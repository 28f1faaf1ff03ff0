/**
 * Stacks of creation and last access, for the sockets of which they are recorded.
 *
 * - `off`: nothing is patched, nothing is captured
 * - `sampled`: one socket in 64, and every later socket of a site that has leaked (outgoing: host and port; accepted: the
 *   listening port). About 1 % on a server that gets a connection for each request
 * - `always`: every socket. About 12 % there and 30 % on outgoing `http.get()`: each access captures one stack, which
 *   takes microseconds and about a kilobyte while the socket is open
 *
 * An Error is captured cheaply and formatted dearly, at the first look at `.stack`. So it is kept as it is, and only a
 * report looks. For an accepted socket the creation tells nothing (no code of the application runs in it), so what
 * matters is who touched it last.
 */
import type { AddressInfo } from 'node:net'
import type { StacksChoice } from '../../options/options.js'
import { hostNameOf, readAddresses, serverOf } from '../../socket/fields.js'
import type { AccessStacks } from '../../core/report.js'
import { describePlace, placesOf, siteOfPlaces, type ShownPlace } from './places.js'
import type { SocketRecord } from '../../socket/record.js'

const SAMPLE_ONE_IN = 64
/** Of an outgoing request Node's own frames alone are about ten, of a `fetch()` forty. */
const DEEPEST = 64
const MOST_HOT_SITES = 1000

/** What was last done to the socket; `created` is `connect()`, `assigned`: an agent gave it to a request. */
export const ACCESS_KINDS = ['created', 'assigned', 'reader', 'paused', 'wrote', 'ended'] as const
export type AccessKind = (typeof ACCESS_KINDS)[number]

/** One stack. Its order among all captures tells which access was the last. */
export class Capture {
  readonly order: number
  #error: Error | null
  #places: readonly ShownPlace[] = []

  constructor(order: number, error: Error) {
    this.order = order
    this.#error = error
  }

  /** Frames of the application, innermost first. */
  places(): readonly ShownPlace[] {
    if (this.#error !== null) {
      this.#places = placesOf(this.#error)
      this.#error = null
    }
    return this.#places
  }
}

/** The accesses of one socket. */
export class Accesses {
  /** First and last of each kind: Node itself calls most of these methods too, with no frame of the application. */
  readonly #first: Partial<Record<AccessKind, Capture>> = {}
  readonly #last: Partial<Record<AccessKind, Capture>> = {}

  note(kind: AccessKind, capture: Capture): void {
    this.#first[kind] ??= capture
    this.#last[kind] = capture
  }

  /** The socket has a new user: what the last one did says nothing about this one. */
  forgetUser(): void {
    for (const kind of ACCESS_KINDS) {
      if (kind === 'created') continue
      delete this.#first[kind]
      delete this.#last[kind]
    }
  }

  /** The latest access of this kind in which code of the application was at work. */
  get(kind: AccessKind): Capture | null {
    return (
      [this.#last[kind], this.#first[kind]].find((capture) => (capture?.places().length ?? 0) > 0) ?? null
    )
  }

  /** The latest of all of these kinds. */
  latest(kinds: readonly AccessKind[]): Capture | null {
    return kinds
      .map((kind) => this.get(kind))
      .filter((capture) => capture !== null)
      .reduce<Capture | null>((last, next) => (last === null || next.order > last.order ? next : last), null)
  }
}

/** Decides whose stacks are recorded, and records them. Its methods are called inside the host's own calls. */
export class StackRecorder {
  readonly #choice: Exclude<StacksChoice, 'off'>
  readonly #hotSites = new Set<string>()
  readonly #accesses = new WeakMap<SocketRecord, Accesses>()
  #seen = 0
  #captures = 0

  constructor(choice: Exclude<StacksChoice, 'off'>) {
    this.#choice = choice
  }

  onAdopted(record: SocketRecord): void {
    const isDrawn = this.#choice === 'always' || this.#seen++ % SAMPLE_ONE_IN === 0
    if (isDrawn || this.#isHotListener(record)) this.#accesses.set(record, new Accesses())
  }

  /** @param args what `connect()` was called with */
  onOpened(record: SocketRecord, args: ArrayLike<unknown>): void {
    if (this.#hotSites.size > 0 && this.#hotSites.has(targetOf(args)) && !this.#accesses.has(record))
      this.#accesses.set(record, new Accesses())
    this.onAccess(record, 'created')
  }

  /** An agent has given the socket to a request. */
  onAssigned(record: SocketRecord): void {
    const accesses = this.#accesses.get(record)
    if (accesses === null || accesses === undefined) return
    accesses.forgetUser()
    accesses.note('assigned', this.#capture())
  }

  onAccess(record: SocketRecord, kind: AccessKind): void {
    const accesses = this.#accesses.get(record)
    if (accesses !== null && accesses !== undefined) accesses.note(kind, this.#capture())
  }

  /** A request came in over a connection that may have served others. */
  onRequestReceived(record: SocketRecord): void {
    this.#accesses.get(record)?.forgetUser()
  }

  /** @param which the stack that matters: of the opening, of whoever touched it last, or this one */
  describe(record: SocketRecord, which: Capture | 'created' | 'touched' | null): StackReading {
    const accesses = this.#accesses.get(record) ?? null
    const capture =
      which === 'touched'
        ? (accesses?.latest(['reader', 'paused', 'wrote', 'ended']) ?? null)
        : which === 'created'
          ? (accesses?.latest(['created', 'assigned']) ?? null)
          : which
    const places = capture?.places() ?? []
    const stack = linesOf(capture)
    const site = siteOfPlaces(places)
    if (accesses === null) return { stack, site }
    const described = Object.fromEntries(ACCESS_KINDS.map((kind) => [kind, linesOf(accesses.get(kind))]))
    return { stack, site, accesses: described as unknown as AccessStacks }
  }

  /** A request that has no socket yet. `null` when only a sample is recorded, and this is none of it. */
  captureRequest(): Capture | null {
    return this.#choice === 'always' || this.#hotSites.size > 0 || this.#seen % SAMPLE_ONE_IN === 0
      ? this.#capture()
      : null
  }

  /** From now on, every socket of this site. */
  onLeaked(record: SocketRecord): void {
    if (this.#choice === 'always' || this.#hotSites.size >= MOST_HOT_SITES) return
    const { local, remote } = record.addresses ?? readAddresses(record.socket)
    if (record.direction === 'inbound') {
      if (local !== null) this.#hotSites.add(`:${local.port}`)
      return
    }
    if (remote === null) return
    this.#hotSites.add(`${remote.address}:${remote.port}`)
    const name = hostNameOf(record.socket)
    if (name !== null) this.#hotSites.add(`${name}:${remote.port}`)
  }

  #isHotListener(record: SocketRecord): boolean {
    if (record.direction !== 'inbound' || this.#hotSites.size === 0) return false
    const address = serverOf(record.socket)?.address() as AddressInfo | string | null | undefined
    return typeof address === 'object' && address !== null && this.#hotSites.has(`:${address.port}`)
  }

  #capture(): Capture {
    return new Capture(this.#captures++, captureError())
  }
}

/** What the recorded stacks tell of one socket. */
export interface StackReading {
  readonly stack: readonly string[] | null
  readonly accesses?: AccessStacks
  readonly site: string | null
}

function linesOf(capture: Capture | null): string[] | null {
  const places = capture?.places() ?? []
  return places.length === 0 ? null : places.map(describePlace)
}

/** An Error as deep as is needed, whatever the application has set. */
export function captureError(): Error {
  const before = Error.stackTraceLimit
  try {
    Error.stackTraceLimit = DEEPEST
    return new Error('access')
  } catch {
    // Frozen intrinsics: as deep as it is.
    return new Error('access')
  } finally {
    try {
      Error.stackTraceLimit = before
    } catch {
      // As it was.
    }
  }
}

/** `host:port` as it was asked for: `connect(options)`, `connect(port, host)`, or what `net.connect()` makes of them. */
function targetOf(args: ArrayLike<unknown>): string {
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : Array.from(args)
  if (typeof first === 'object' && first !== null) {
    const { host, port } = first as { host?: unknown; port?: unknown }
    return `${typeof host === 'string' ? host : 'localhost'}:${String(port)}`
  }
  return `${typeof second === 'string' ? second : 'localhost'}:${String(first)}`
}
