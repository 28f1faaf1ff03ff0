import { channel, type Channel } from 'node:diagnostics_channel'
import type { GuardEvent, SocketReport } from '../core/report.js'
import { EVENT_TYPES, type EventType } from '../core/vocabulary.js'
import { callShielded, warnOnce } from '../base/warnings.js'

export type GuardListener = (event: GuardEvent) => void

export interface Announcer {
  announce(type: EventType, describe: () => SocketReport): void
  subscribe(listener: GuardListener): () => void
}

export function createAnnouncer(): Announcer {
  const listeners = new Set<GuardListener>()
  const channels = Object.fromEntries(
    EVENT_TYPES.map((type) => [type, channel(`socket-leak-guard:${type}`)]),
  ) as Record<EventType, Channel>

  return {
    announce(type, describe) {
      if (listeners.size === 0 && !channels[type].hasSubscribers) return
      const event: GuardEvent = { type, at: new Date().toISOString(), socket: describe() }
      for (const listener of [...listeners]) {
        callShielded(
          () => listener(event),
          (message) =>
            warnOnce('SLG_WARN_LISTENER', `a subscriber of the guard threw on "${type}": ${message}`),
        )
      }
      channels[type].publish(event)
    },
    subscribe(listener) {
      // A new function for each call, so that a listener may subscribe twice and leave once.
      const own: GuardListener = (event) => listener(event)
      listeners.add(own)
      return function unsubscribe() {
        listeners.delete(own)
      }
    },
  }
}
