// Records the stacks of a socket's creation and latest accesses. Formatting an Error is costly, but until then it holds
// `this` of each frame. So it waits half a second: by then short connections are gone and busy ones captured anew.
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
const MOST_AT_ONCE = 16

const ACCESS_KINDS = ['created', 'reader', 'paused', 'wrote', 'ended'] as const
type AccessKind = (typeof ACCESS_KINDS)[number]

export interface Capture {
  readonly kind: AccessKind | 'request'
  readonly atMs: number
  request: object | null
  error: Error | null
  frames: readonly Place[]
}

// Which code to show: who opened the connection, made its request, touched it last, or listens for such connections.
export type StackOf = 'created' | 'touched' | 'accepted' | Capture | null

export interface StackReading {
  readonly site: string | null
  readonly stack: readonly string[] | null
  readonly accesses?: AccessStacks
}

export interface StacksOptions {
  /** Must not keep an async context or the process alive. */
  later(callback: () => void, ms: number): void
}

export class Stacks {
  readonly #sample: Sample
  readonly #later: StacksOptions['later']
  readonly #places = new Places()
  readonly #captures = new WeakMap<SocketRecord, Capture[]>()
  readonly #listening = new WeakMap<Server, readonly Place[]>()
  readonly #fresh = new Set<Capture>()
  #isSettling = false

  constructor(choice: Exclude<StacksChoice, 'off'>, { later }: StacksOptions) {
    this.#sample = new Sample(choice)
    this.#later = later
  }

  onAdopted(record: SocketRecord): void {
    if (this.#sample.takes(record)) this.#captures.set(record, [])
  }

  onOpened(record: SocketRecord, args: ArrayLike<unknown>): void {
    if (this.#sample.takesTarget(args) && !this.#captures.has(record)) this.#captures.set(record, [])
    this.onAccess(record, 'created')
  }

  onRequestReceived(record: SocketRecord): void {
    const captures = this.#captures.get(record) ?? []
    const ofUser = captures.filter(({ kind }) => kind !== 'created')
    for (const capture of ofUser) this.#drop(captures, capture)
  }

  onAccess(record: SocketRecord, kind: AccessKind): void {
    const captures = this.#captures.get(record)
    if (captures === undefined) return
    const last = captures.at(-1)
    // Writes in one corked block, as the head and body of a response, are one access.
    if (kind === 'wrote' && last?.kind === kind && last.error !== null && record.socket.writableCorked > 0)
      return
    const same = captures.filter((capture) => capture.kind === kind)
    // Node calls these methods too, so the last access that may be the application's is kept beside the last one.
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

  onLeaked(record: SocketRecord): void {
    this.#sample.onLeaked(record)
  }

  onReleased(record: SocketRecord): void {
    for (const capture of this.#captures.get(record) ?? []) this.#fresh.delete(capture)
    this.#captures.delete(record)
  }

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

function isOver(request: object | null): boolean {
  return (
    request !== null &&
    (['destroyed', 'completed', 'aborted'] as const).some((name) => readField(request, name) === true)
  )
}

function linesOf(places: readonly ShownPlace[]): string[] | null {
  return places.length === 0 ? null : places.map(describePlace)
}
