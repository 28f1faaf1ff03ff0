/**
 * Stacks of creation and last access, for the sockets of which they are recorded.
 *
 * An Error is captured cheaply and formatted dearly, and until then it holds the receivers of its frames (`this` of every
 * method on the stack). So it is formatted once it has outlived half a second: by then the captures of a busy socket have
 * been replaced by later ones, and those of a short connection have gone with it.
 */
import type { Server } from 'node:net'
import { readField } from '../../core/foreign.js'
import type { AccessStacks } from '../../core/report.js'
import { serverOf } from '../../socket/fields.js'
import type { SocketRecord } from '../../socket/record.js'
import type { StacksChoice } from '../../options/options.js'
import { monotonicMs } from '../../base/real-time.js'
import { captureError, type Place } from './frames.js'
import { describePlace, Places, siteOfPlaces, type ShownPlace } from './places.js'
import { Sample } from './sample.js'

const MOST_CAPTURES = 4
const SETTLE_AFTER_MS = 500
/** A millisecond or two of formatting. */
const MOST_AT_ONCE = 16

/** What was last done to the socket; `created` is `connect()`. */
const ACCESS_KINDS = ['created', 'reader', 'paused', 'wrote', 'ended'] as const
type AccessKind = (typeof ACCESS_KINDS)[number]

/** One stack. */
export interface Capture {
  readonly kind: AccessKind | 'request'
  readonly atMs: number
  /** That was made, until `frames` is read. */
  request: object | null
  /** `null` once `frames` has been read from it. */
  error: Error | null
  /** Of the application, innermost first. None: Node was at work by itself. */
  frames: readonly Place[]
}

/**
 * Which code is asked for: who opened the connection, who made the request that it carries, who touched it last, or, where
 * nobody did, who listens for such connections.
 */
export type StackOf = 'created' | 'touched' | 'accepted' | Capture | null

/** What the recorded stacks tell of one socket. */
export interface StackReading {
  readonly site: string | null
  readonly stack: readonly string[] | null
  /** Only of a socket whose stacks are recorded. */
  readonly accesses?: AccessStacks
}

export interface StacksOptions {
  /** Calls back in nobody's async context, without keeping the process alive. */
  later(callback: () => void, ms: number): void
}

/** Decides whose stacks are recorded, and records them. Its methods are called inside the host's own calls. */
export class Stacks {
  readonly #sample: Sample
  readonly #later: StacksOptions['later']
  readonly #places = new Places()
  /** Of the sockets that are recorded: in the order of time, at most four. */
  readonly #captures = new WeakMap<SocketRecord, Capture[]>()
  readonly #listening = new WeakMap<Server, readonly Place[]>()
  /** Not formatted yet, the oldest first. */
  readonly #fresh = new Set<Capture>()
  #isSettling = false

  constructor(choice: Exclude<StacksChoice, 'off'>, { later }: StacksOptions) {
    this.#sample = new Sample(choice)
    this.#later = later
  }

  onAdopted(record: SocketRecord): void {
    if (this.#sample.takes(record)) this.#captures.set(record, [])
  }

  /** @param args what `connect()` was called with */
  onOpened(record: SocketRecord, args: ArrayLike<unknown>): void {
    if (this.#sample.takesTarget(args) && !this.#captures.has(record)) this.#captures.set(record, [])
    this.onAccess(record, 'created')
  }

  /** A request came in over a connection that may have served others. */
  onRequestReceived(record: SocketRecord): void {
    const captures = this.#captures.get(record) ?? []
    // What the last user did says nothing about this one.
    const ofUser = captures.filter(({ kind }) => kind !== 'created')
    for (const capture of ofUser) this.#drop(captures, capture)
  }

  onAccess(record: SocketRecord, kind: AccessKind): void {
    const captures = this.#captures.get(record)
    if (captures === undefined) return
    const last = captures.at(-1)
    // What is written in one corked block, as the head and the body of a response, is one access.
    if (kind === 'wrote' && last?.kind === kind && last.error !== null && record.socket.writableCorked > 0)
      return
    const same = captures.filter((capture) => capture.kind === kind)
    // Node itself calls most of these methods too: so beside the last stays the last of the application, or what may be it.
    const kept = same.findLast(({ frames }) => frames.length > 0) ?? same.find(({ error }) => error !== null)
    for (const capture of same) if (capture !== kept) this.#drop(captures, capture)
    if (captures.length === MOST_CAPTURES)
      this.#drop(
        captures,
        captures.find(({ kind }) => kind !== 'created')!,
      )
    captures.push(this.#keep(kind, captureError()))
  }

  onListen(server: Server): void {
    if (!this.#listening.has(server)) this.#listening.set(server, this.#places.capture())
  }

  /** From now on, every socket of this site. */
  onLeaked(record: SocketRecord): void {
    this.#sample.onLeaked(record)
  }

  onReleased(record: SocketRecord): void {
    for (const capture of this.#captures.get(record) ?? []) this.#fresh.delete(capture)
    this.#captures.delete(record)
  }

  /** A request that may have no socket yet. `null` when only a sample is recorded, and this is none of it. */
  captureRequest(request: object): Capture | null {
    return this.#sample.takesRequest() ? this.#keep('request', captureError(), request) : null
  }

  describe(record: SocketRecord, of: StackOf): StackReading {
    const captures = this.#captures.get(record)
    const places = this.#placesOf(record, of)
    const reading = { site: siteOfPlaces(places), stack: linesOf(places) }
    if (captures === undefined) return reading
    const accesses = ACCESS_KINDS.map((kind) => [kind, linesOf(this.#latest(captures, [kind]))])
    const assigned = typeof of === 'object' ? reading.stack : null
    return { ...reading, accesses: { assigned, ...Object.fromEntries(accesses) } as AccessStacks }
  }

  #placesOf(record: SocketRecord, of: StackOf): readonly ShownPlace[] {
    if (of === null) return []
    if (typeof of === 'object') return this.#show(of)
    const captures = this.#captures.get(record) ?? []
    if (of === 'created') return this.#latest(captures, ['created'])
    const touched = this.#latest(captures, ['reader', 'paused', 'wrote', 'ended'])
    const server = of === 'touched' || touched.length > 0 ? null : serverOf(record.socket)
    return server === null ? touched : this.#places.show(this.#listening.get(server) ?? [])
  }

  /** Of the latest of these accesses in which code of the application was at work. */
  #latest(captures: readonly Capture[], kinds: readonly AccessKind[]): readonly ShownPlace[] {
    const latest = captures.findLast(
      (capture) => kinds.includes(capture.kind as AccessKind) && this.#show(capture).length > 0,
    )
    return latest === undefined ? [] : this.#show(latest)
  }

  #show(capture: Capture): readonly ShownPlace[] {
    this.#format(capture)
    return this.#places.show(capture.frames)
  }

  #drop(captures: Capture[], capture: Capture): void {
    this.#fresh.delete(capture)
    captures.splice(captures.indexOf(capture), 1)
  }

  #keep(kind: Capture['kind'], error: Error, request: object | null = null): Capture {
    const capture: Capture = { kind, atMs: monotonicMs(), request, error, frames: [] }
    this.#fresh.add(capture)
    this.#settleIn(SETTLE_AFTER_MS)
    return capture
  }

  #format(capture: Capture): void {
    if (capture.error === null) return
    capture.frames = this.#places.framesOf(capture.error)
    capture.error = null
    capture.request = null
    this.#fresh.delete(capture)
  }

  #settleIn(ms: number): void {
    if (this.#isSettling) return
    this.#isSettling = true
    this.#later(() => {
      this.#isSettling = false
      const untilMs = monotonicMs() - SETTLE_AFTER_MS
      let left = MOST_AT_ONCE
      for (const capture of this.#fresh) {
        if (capture.atMs > untilMs) return this.#settleIn(SETTLE_AFTER_MS)
        if (left-- === 0) return this.#settleIn(1)
        if (isOver(capture.request)) this.#fresh.delete(capture)
        else this.#format(capture)
      }
    }, ms)
  }
}

/** Of `node:http` or undici: nobody will ask for its stack any more. */
function isOver(request: object | null): boolean {
  return (
    request !== null &&
    ['destroyed', 'completed', 'aborted'].some((name) => readField(request, name) === true)
  )
}

function linesOf(places: readonly ShownPlace[]): string[] | null {
  return places.length === 0 ? null : places.map(describePlace)
}
