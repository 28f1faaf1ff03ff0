/**
 * Knows every socket of the process, from its first sign of life to its release. It marks when each side ended, and
 * judges nothing. A socket is adopted at whatever is seen of it first: the `'connection'` event of its server, `connect()`,
 * or, where it was there before the guard or was made from a handle, its first bytes.
 */
import { Socket } from 'node:net'
import type { Ledger } from '../core/ledger.js'
import type { Direction } from '../core/vocabulary.js'
import type { SocketPolicy } from '../judge/policy.js'
import { activeHandles, directionOf, hasNoHandle, isTcp, isTls, rawSocketOf, serverOf } from './fields.js'
import type { Observer, ServerEvent } from './patches.js'
import { attachRecord, detachRecord, hintOf, recordOf, SocketRecord } from './record.js'
import { targetOf } from './target.js'

export interface TrackerHooks {
  readonly ledger: Ledger<SocketRecord>
  /** What was said of sockets before `connect()`. Nothing can leak in them, so nothing else keeps them. */
  readonly unconnected: WeakMap<Socket, SocketRecord>
  /** What holds for a socket of which nobody said anything. */
  readonly policy: SocketPolicy
  nextId(): number
  /** Milliseconds since the guard started, never 0. */
  now(): number
  /** Sockets that are none of the application's: the report's own. */
  isForeign(socket: Socket): boolean
  /** A new record, or one whose server has changed: what holds for it? */
  settle(record: SocketRecord): void
  onAdopted?(record: SocketRecord): void
  /** `connect()` is running: the work in which the socket is opened is the one that runs now. */
  onOpened(record: SocketRecord, args: ArrayLike<unknown>): void
  onPeerEnded(record: SocketRecord): void
  /** The application, or Node in its place, is ending its side. */
  onLocalEnded?(record: SocketRecord): void
  /** The HTTP server lets go of the socket; nobody but the handler owns it from now on. */
  onHandedOver(record: SocketRecord, kind: 'upgrade' | 'connect', request: unknown): void
  /** It is about to be released, and still known. */
  onReleasing(record: SocketRecord): void
  /** Called before the socket is destroyed. @returns the error that it is destroyed with */
  onReleased(record: SocketRecord, error: unknown): unknown
  onFailure(error: unknown): void
}

export interface Tracker {
  /** For the patches. */
  readonly observer: Observer
  /** The record of a socket, made now if there is none; `null` for what can't be tracked (destroyed, foreign). */
  adopt(socket: Socket, direction: Direction): SocketRecord | null
  /** Connections that are open already: an HTTP server's would show itself only when its peer ends. */
  adoptPresent(): void
  /** The record of a socket of TCP that shows itself for the first time; `null` also for what is no connection. */
  adoptOnTheWay(socket: Socket): SocketRecord | null
  /** Forgets a socket that left by another door (handed to a child process). */
  forget(record: SocketRecord): void
}

/** A record that stayed on its socket would be taken for known by the next guard, which does not have it. */
export function releaseAll(ledger: Ledger<SocketRecord>): void {
  for (const record of [...ledger]) release(ledger, record)
}

function release(ledger: Ledger<SocketRecord>, record: SocketRecord): void {
  ledger.remove(record)
  detachRecord(record.socket)
  const raw = isTls(record.socket) ? rawSocketOf(record.socket) : null
  if (raw !== null) detachRecord(raw)
}

export function createTracker(hooks: TrackerHooks): Tracker {
  const { ledger, unconnected, now } = hooks

  function adopt(socket: Socket, direction: Direction): SocketRecord | null {
    const known = recordOf(socket)
    if (known !== undefined) return known
    if (socket.destroyed || hooks.isForeign(socket)) return null
    const raw = isTls(socket) ? rawSocketOf(socket) : null
    const folded = raw === null ? undefined : recordOf(raw)
    if (folded !== undefined) {
      foldInto(folded, socket)
      return folded
    }
    const early = unconnected.get(socket)
    const record = early ?? newRecord(socket, direction)
    if (hasNoHandle(socket)) {
      unconnected.set(socket, record)
      return record
    }
    // The options may have changed since.
    if (early !== undefined) hooks.settle(early)
    attachRecord(socket, record)
    ledger.add(record)
    hooks.onAdopted?.(record)
    return record
  }

  function newRecord(socket: Socket, direction: Direction): SocketRecord {
    const record = new SocketRecord(hooks.nextId(), socket, direction, now(), hooks.policy)
    hooks.settle(record)
    return record
  }

  /** One connection, one record: a TLSSocket takes over what was known of the raw socket under it. */
  function foldInto(record: SocketRecord, outer: Socket): void {
    const isOtherServer = serverOf(outer) !== serverOf(record.socket)
    record.socket = outer
    record.kernel = null
    attachRecord(outer, record)
    // Accepted by one server and given to another, as a TCP front end does that sorts out TLS.
    if (isOtherServer) hooks.settle(record)
  }

  /** Only TCP is adopted on the way: a pipe may be a child's stdio, which is nobody's connection. */
  function adoptOnTheWay(socket: Socket): SocketRecord | null {
    return recordOf(socket) ?? (isTcp(socket) ? adopt(socket, directionOf(socket)) : null)
  }

  /** The application may emit these events by itself, with whatever it likes. */
  function hear(event: ServerEvent, server: object, first: unknown, second: unknown): void {
    if (event === 'connection') {
      if (!(first instanceof Socket)) return
      const record = adopt(first, 'inbound')
      // Handed in: accepted by another server, or by none.
      if (record === null || serverOf(first) === server) return
      record.direction = 'inbound'
      hintOf(record).server = server
      hooks.settle(record)
    } else if (event === 'secureConnection') {
      if (first instanceof Socket) adopt(first, 'inbound')
    } else {
      // Node 26 hands an upgrade with an unfinished body to a Duplex of its own; the connection is the request's.
      const carrier = second instanceof Socket ? second : (first as { socket?: unknown } | null)?.socket
      const record = carrier instanceof Socket ? adopt(carrier, 'inbound') : null
      if (record !== null) hooks.onHandedOver(record, event, first)
    }
  }

  const observer: Observer = {
    onPeerEnded(socket) {
      try {
        const record = adoptOnTheWay(socket)
        if (record === null || record.socket !== socket || record.peerEndedMs !== 0) return
        record.peerEndedMs = now()
        hooks.onPeerEnded(record)
      } catch (error) {
        hooks.onFailure(error)
      }
    },
    onData(socket) {
      if (recordOf(socket) !== undefined) return
      try {
        adoptOnTheWay(socket)
      } catch (error) {
        hooks.onFailure(error)
      }
    },
    onLocalEnded(socket) {
      try {
        const record = adoptOnTheWay(socket)
        if (record === null || record.socket !== socket || record.localEndedMs !== 0) return
        if (!socket.writableEnded) record.localEndedMs = now()
        hooks.onLocalEnded?.(record)
      } catch (error) {
        hooks.onFailure(error)
      }
    },
    onDestroy(socket, error) {
      const record = recordOf(socket)
      if (record === undefined) return error
      try {
        hooks.onReleasing(record)
        release(ledger, record)
        if (record.socket !== socket) detachRecord(socket)
        return hooks.onReleased(record, error)
      } catch (failure) {
        hooks.onFailure(failure)
        return error
      }
    },
    onConnect(socket, args) {
      if (!socket.connecting) return
      try {
        const record = adopt(socket, 'outbound')
        if (record === null) return
        record.target = targetOf(args)
        hooks.onOpened(record, args)
      } catch (error) {
        hooks.onFailure(error)
      }
    },
    onServerEvent(event, server, first, second) {
      try {
        hear(event, server, first, second)
      } catch (error) {
        hooks.onFailure(error)
      }
    },
  }

  return {
    observer,
    adopt,
    adoptPresent() {
      for (const handle of activeHandles()) if (handle instanceof Socket) adoptOnTheWay(handle)
    },
    adoptOnTheWay,
    forget: (record) => release(ledger, record),
  }
}
