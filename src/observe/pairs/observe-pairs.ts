/** Pairs of connections: sees what is piped, and what becomes of one side when the other goes. */
import { messageOf, warnOnce } from '../../warnings.js'
import { Flow } from './flow.js'
import { noteEnded, noteLeaving, type LeftHooks } from './left.js'
import { patchPipe } from './pipe-seam.js'
import { firstPartnerOf, forgetTies, notePipe, partnersOf } from './ties.js'
import { readEnds } from '../socket-fields.js'
import { originOf } from '../origin.js'
import type { TrackedSocket } from '../tracked-socket.js'

export interface Pairs {
  /** The peer's FIN has reached Node. */
  onPeerEnded(record: TrackedSocket): void
  /** Called before the socket is destroyed. @returns somebody left behind is in grace from now on */
  onReleased(record: TrackedSocket): boolean
  /** It left by another door: nobody is left behind. */
  onForgotten(record: TrackedSocket): void
  /** Something odd was looked at. */
  onObserved(record: TrackedSocket): void
  stop(): void
}

export function observePairs(hooks: LeftHooks): Pairs {
  const unpatch = patchPipe((source, target, isEnded) => {
    try {
      notePipe(source, target, isEnded)
    } catch (error) {
      warnOnce('SLG_WARN_INTERNAL', `observing a pipe failed: ${messageOf(error)}`)
    }
  })

  return {
    onPeerEnded(record) {
      // Its addresses are gone when it is closed a moment later, and whom it leaves behind is to say who left.
      if (record.ends !== null || firstPartnerOf(record) === null) return
      const ends = readEnds(record.socket)
      if (ends.remote !== null) record.ends = ends
    },
    onReleased: (record) =>
      noteLeaving(record, hooks).some(({ origin }) => origin?.left?.propagates === true),
    onForgotten: ({ socket }) => forgetTies(socket),
    onObserved(record) {
      if (record.case === null || record.case.verdict === 'none') return
      const nowMs = hooks.now()
      for (const { record: partner } of partnersOf(record)) {
        const origin = originOf(partner)
        if (origin.flow === null) origin.flow = new Flow(partner.socket, nowMs)
        else origin.flow.look(partner.socket, nowMs)
      }
      noteEnded(record, hooks)
    },
    stop: unpatch,
  }
}
