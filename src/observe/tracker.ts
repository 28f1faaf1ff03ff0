/**
 * Knows every socket of the process, from its first sign of life to its release. It listens at the seam and at the
 * diagnostics channel of accepted sockets, marks when each side ended, and judges nothing.
 *
 * A socket is adopted at whatever is seen of it first: the channel `net.server.socket` speaks only after the server's
 * `'connection'` handlers have run, and not at all of sockets handed over from another process or made from a handle.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import type { Ledger } from '../core/ledger.js'
import type { Direction } from '../core/vocabulary.js'
import type { SocketPolicy } from '../options/options.js'
import { hearsErrors } from './failures.js'
import { patchSocketPrototype, type SeamListener } from './seam.js'
import { directionOf, hasNoHandle, isTcp, isTls, rawSocketOf, serverOf } from './socket-fields.js'
import { attachRecord, detachRecord, recordOf, TrackedSocket } from './tracked-socket.js'

export interface TrackerHooks {
  readonly ledger: Ledger<TrackedSocket>
  nextId(): number
  /** What holds where no server and no socket was given anything else. */
  readonly policy: SocketPolicy
  /** Makes what holds for this socket hold: it is new, or has another server now. */
  settle(record: TrackedSocket): void
  /** Milliseconds since the guard started. */
  now(): number
  /** Sockets that are none of the application's: the report's own. */
  isForeign(socket: Socket): boolean
  /** The peer's FIN has reached Node. */
  onPeerEnded(record: TrackedSocket): void
  /** `connect()` is running: the work in which the socket is opened is the one that runs now. */
  onOpened(record: TrackedSocket, args: readonly unknown[]): void
  /** A new record. */
  onAdopted(record: TrackedSocket): void
  /** The application, or Node in its place, has ended its side. */
  onEnding(record: TrackedSocket): void
  /** @param error what it is destroyed with */
  onReleased(record: TrackedSocket, error: unknown): void
  /** Only a setting of the guard's own can have caused this error. */
  isOwnDoing(record: TrackedSocket, error: unknown): boolean
  onFailure(error: unknown): void
}

export interface Tracker {
  /** The record of a socket, made now if there is none; `null` for what can't be tracked (destroyed, foreign). */
  adopt(socket: Socket, direction: Direction): TrackedSocket | null
  /** Forgets a socket that left by another door (handed to a child process). */
  forget(record: TrackedSocket): void
  /** Stops listening; the records stay where they are. */
  stop(): void
}

/** A record that stayed on its socket would be taken for known by the next guard, which does not have it. */
export function releaseAll(ledger: Ledger<TrackedSocket>): void {
  for (;;) {
    const record = ledger.at(ledger.size - 1)
    if (record === undefined) return
    release(ledger, record, record.socket)
  }
}

function release(ledger: Ledger<TrackedSocket>, record: TrackedSocket, socket: Socket): void {
  ledger.remove(record)
  detachRecord(socket)
  if (record.socket !== socket) detachRecord(record.socket)
  const raw = rawSocketOf(record.socket)
  if (raw !== null) detachRecord(raw)
}

export function startTracker(hooks: TrackerHooks): Tracker {
  /** What was said of sockets before `connect()`. Nothing can leak in them, so nothing else keeps them. */
  const unconnected = new WeakMap<Socket, TrackedSocket>()

  function adopt(socket: Socket, direction: Direction): TrackedSocket | null {
    const known = recordOf(socket)
    if (known !== undefined) return known
    if (socket.destroyed || hooks.isForeign(socket)) return null
    const raw = isTls(socket) ? rawSocketOf(socket) : null
    const folded = raw === null ? undefined : recordOf(raw)
    if (folded !== undefined) {
      foldInto(folded, socket)
      return folded
    }
    const record = unconnected.get(socket) ?? newRecord(socket, direction)
    if (hasNoHandle(socket)) {
      unconnected.set(socket, record)
      return record
    }
    attachRecord(socket, record)
    hooks.ledger.add(record)
    hooks.onAdopted(record)
    return record
  }

  function newRecord(socket: Socket, direction: Direction): TrackedSocket {
    const record = new TrackedSocket(hooks.nextId(), socket, direction, hooks.now(), hooks.policy)
    hooks.settle(record)
    return record
  }

  /** One connection, one record: a TLSSocket takes over what was known of the raw socket under it. */
  function foldInto(record: TrackedSocket, outer: Socket): void {
    // Accepted by one server and given to another, as a TCP front end does that sorts out TLS.
    const isOfAnother = serverOf(outer) !== serverOf(record.socket)
    record.socket = outer
    if (isOfAnother) hooks.settle(record)
    record.kernel = null
    attachRecord(outer, record)
  }

  /** Only TCP is adopted on the way: a pipe may be a child's stdio, which is nobody's connection. */
  function adoptOnTheWay(socket: Socket): TrackedSocket | null {
    return recordOf(socket) ?? (isTcp(socket) ? adopt(socket, directionOf(socket)) : null)
  }

  // Everything below runs inside the host's own calls, so nothing may come out of it.
  function shielded(observe: () => void): void {
    try {
      observe()
    } catch (error) {
      hooks.onFailure(error)
    }
  }

  const listener: SeamListener = {
    onPeerEnded(socket) {
      shielded(() => {
        const record = adoptOnTheWay(socket)
        if (record === null || record.socket !== socket || record.peerEndedMs !== 0) return
        record.peerEndedMs = hooks.now()
        hooks.onPeerEnded(record)
      })
    },
    onData(socket) {
      if (recordOf(socket) !== undefined) return
      shielded(() => {
        adoptOnTheWay(socket)
      })
    },
    onLocalEnded(socket) {
      shielded(() => {
        const record = adoptOnTheWay(socket)
        if (record === null || record.socket !== socket) return
        record.localEndedMs ||= hooks.now()
        hooks.onEnding(record)
      })
    },
    onDestroy(socket, error) {
      let isKept = false
      shielded(() => {
        const record = recordOf(socket)
        if (record === undefined) return
        isKept = hooks.isOwnDoing(record, error) && !hearsErrors(socket)
        release(hooks.ledger, record, socket)
        hooks.onReleased(record, error)
      })
      return isKept
    },
    onConnect(socket, args) {
      shielded(() => {
        const record = socket.connecting ? adopt(socket, 'outbound') : null
        if (record !== null) hooks.onOpened(record, args)
      })
    },
  }

  function onServerSocket(message: unknown): void {
    shielded(() => {
      adopt((message as { socket: Socket }).socket, 'inbound')
    })
  }

  const unpatch = patchSocketPrototype(listener)
  subscribe('net.server.socket', onServerSocket)

  return {
    adopt,
    forget(record) {
      release(hooks.ledger, record, record.socket)
    },
    stop() {
      unsubscribe('net.server.socket', onServerSocket)
      unpatch()
    },
  }
}
