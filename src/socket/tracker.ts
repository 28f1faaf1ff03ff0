// Makes a record for each socket, marks when each side ended, and drops the record with the socket. A socket
// is adopted at its server's `'connection'` event, at `connect()`, or at its first bytes.
import { Socket } from 'node:net'
import { hasListener, readField } from '../core/foreign.js'
import type { Ledger } from '../core/ledger.js'
import type { Direction } from '../core/vocabulary.js'
import type { SocketPolicy } from '../judge/policy.js'
import {
  activeHandles,
  clientRequestOf,
  directionOf,
  hasNoHandle,
  isEofReceived,
  isHeldByAgent,
  isTcp,
  isTls,
  rawSocketOf,
  serverOf,
} from './fields.js'
import type { Observer, ServerEvent } from './patches.js'
import { attachRecord, detachRecord, hintOf, readRecord, recordOf, SocketRecord } from './record.js'
import { targetOf } from './target.js'
import { isAcceptedForTls, isGivenAway } from './usage.js'

export interface TrackerHooks {
  readonly ledger: Ledger<SocketRecord>
  /** Records of sockets before `connect()`. Nothing can leak yet, so they are held weakly. */
  readonly unconnected: WeakMap<Socket, SocketRecord>
  readonly policy: SocketPolicy
  nextId(): number
  /** Milliseconds since the guard started, never 0. */
  now(): number
  isForeign(socket: Socket): boolean
  settle(record: SocketRecord): void
  onAdopted?(record: SocketRecord): void
  /** Called inside `connect()`, in the async context that opens the socket. */
  onOpened(record: SocketRecord, args: ArrayLike<unknown>): void
  onPeerEnded(record: SocketRecord): void
  onLocalEnded?(record: SocketRecord): void
  onHandedOver(record: SocketRecord, kind: 'upgrade' | 'connect', request: unknown): void
  onReleasing(record: SocketRecord): void
  /** Called before the socket is destroyed. @returns the error it is destroyed with */
  onReleased(record: SocketRecord, error: unknown): unknown
  onFailure(error: unknown): void
}

export interface Tracker {
  readonly observer: Observer
  adopt(socket: Socket, direction: Direction): SocketRecord | null
  /** Adopts open connections. An HTTP server's would otherwise appear only when its peer ends. */
  adoptPresent(): void
  adoptOnTheWay(socket: Socket): SocketRecord | null
  forget(record: SocketRecord): void
}

/** A record left on its socket would be mistaken for one of the next guard. */
export function releaseAll(ledger: Ledger<SocketRecord>): void {
  for (const record of [...ledger]) release(ledger, record)
}

function release(ledger: Ledger<SocketRecord>, record: SocketRecord): void {
  ledger.remove(record)
  if (record.kernel !== null) record.kernel.socket = null
  detachRecord(record.socket)
  const raw = readRecord(record, ({ socket }) => (isTls(socket) ? rawSocketOf(socket) : null))
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

  /** A TLSSocket takes over the record of the raw socket under it. */
  function foldInto(record: SocketRecord, outer: Socket): void {
    const isOtherServer = serverOf(outer) !== serverOf(record.socket)
    record.socket = outer
    record.kernel = null
    if (record.hint !== null) record.hint.isUnderTls = false
    attachRecord(outer, record)
    // A TCP front end passed the connection to a TLS server.
    if (isOtherServer) hooks.settle(record)
  }

  function adoptOnTheWay(socket: Socket): SocketRecord | null {
    return recordOf(socket) ?? (isConnection(socket) ? adopt(socket, directionOf(socket)) : null)
  }

  /** Nobody saw an earlier end, so it counts from now. */
  function adoptPresent(socket: Socket): void {
    const record = recordOf(socket) === undefined ? adoptOnTheWay(socket) : null
    if (record === null) return
    const hint = hintOf(record)
    hint.isBornBefore = true
    hint.isUnderTls = isAcceptedForTls(socket)
    if (isGivenAway(socket) && !hasListener(serverOf(socket)!, 'connect')) hint.kind = 'upgrade'
    if (isEofReceived(socket)) record.peerEndedMs = now()
    if (socket.writableEnded) record.localEndedMs = now()
  }

  /** An application may emit these events itself, with any arguments. */
  function hear(event: ServerEvent, server: object, first: unknown, second: unknown): void {
    if (event === 'connection') {
      if (!(first instanceof Socket)) return
      const record = adopt(first, 'inbound')
      if (record === null || serverOf(first) === server) return
      record.direction = 'inbound'
      hintOf(record).server = server
      hooks.settle(record)
    } else if (event === 'secureConnection') {
      if (first instanceof Socket) adopt(first, 'inbound')
    } else {
      // Node 26 gives an upgrade with an unfinished body its own Duplex; the connection is the request's socket.
      const carrier = second instanceof Socket ? second : readField(first ?? {}, 'socket')
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
      } catch (failure) {
        hooks.onFailure(failure)
      }
      try {
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
      for (const handle of activeHandles()) if (handle instanceof Socket) adoptPresent(handle)
    },
    adoptOnTheWay,
    forget: (record) => release(ledger, record),
  }
}

/** A pipe counts if a server accepted it or HTTP uses it; nothing else tells it from a child's stdio. */
function isConnection(socket: Socket): boolean {
  return (
    isTcp(socket) || serverOf(socket) !== null || clientRequestOf(socket) !== null || isHeldByAgent(socket)
  )
}
