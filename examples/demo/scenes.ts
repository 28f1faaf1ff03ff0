/** What the peers do, what the reader is told about it, and how each connection has to end. */
import type { Condition, EventType, GuardEvent } from 'socket-leak-guard'

export type SceneName =
  | 'hang-up'
  | 'hang-up-and-vanish'
  | 'speak-and-hang-up'
  | 'speak-after-refusal'
  | 'linger-after-refusal'
  | 'stop-downloading'
  | 'abandon-upload'
  | 'ask-for-quote'
  | 'flood'
  | 'meet-itself'

export interface Scene {
  readonly name: SceneName
  readonly place: string
  /** One line, after the place. */
  readonly tale: string
  readonly site: RegExp
  readonly conditions: readonly Condition[]
  /** The verdict with which the story of this connection is over. */
  readonly outcome: EventType
  /** Node's streams show nothing of it. */
  readonly needsKernel: boolean
}

/** Which of the three it is depends on how much has been sent, and on the buffers of this version of Node. */
const UNREAD: readonly Condition[] = ['eof-unread', 'fin-unseen', 'window-closed']

export const SCENES: readonly Scene[] = [
  {
    name: 'hang-up',
    place: '/chat',
    tale: 'the client hangs up, the handler forgets to end()',
    site: /^upgrade \/chat$/,
    conditions: ['eof-ignored'],
    outcome: 'reclaimed',
    needsKernel: false,
  },
  {
    name: 'hang-up-and-vanish',
    place: '/chat',
    tale: 'so does another, and then its connection is reset',
    site: /^upgrade \/chat$/,
    conditions: ['reset-unseen'],
    outcome: 'dead',
    needsKernel: false,
  },
  {
    name: 'speak-and-hang-up',
    place: '/events',
    tale: 'the client subscribes and leaves, nobody reads a word',
    site: /^upgrade \/events$/,
    conditions: UNREAD,
    outcome: 'leaked',
    needsKernel: false,
  },
  {
    name: 'speak-after-refusal',
    place: '/admin',
    tale: 'refused with 401, but the client had already said more',
    site: /^upgrade \/admin$/,
    conditions: ['closed-unread'],
    outcome: 'reclaimed',
    needsKernel: false,
  },
  {
    name: 'linger-after-refusal',
    place: '/admin',
    tale: 'refused with 401, and the client just stays',
    site: /^upgrade \/admin$/,
    conditions: ['fin-wait'],
    outcome: 'reclaimed',
    needsKernel: false,
  },
  {
    name: 'stop-downloading',
    place: '/export',
    tale: 'the client closes and stops reading, 16 MB are stuck',
    site: /^GET \/export$/,
    conditions: ['write-stalled'],
    outcome: 'reclaimed',
    needsKernel: false,
  },
  {
    name: 'abandon-upload',
    place: '/upload',
    tale: 'the handler waits before it reads, the client gives up',
    site: /^POST \/upload/,
    conditions: UNREAD,
    outcome: 'leaked',
    needsKernel: true,
  },
  {
    name: 'ask-for-quote',
    place: '/quote',
    tale: 'the app asks a backend and never reads the answer',
    site: / 127\.0\.0\.1:\d+$/,
    conditions: UNREAD,
    outcome: 'leaked',
    needsKernel: true,
  },
  {
    name: 'flood',
    place: '/live',
    tale: 'a WebSocket is paused, and resumed far too late',
    site: /^upgrade \/live$/,
    conditions: UNREAD,
    outcome: 'recovered',
    needsKernel: true,
  },
  {
    name: 'meet-itself',
    place: 'cache',
    tale: 'a reconnect loop hits its own port and talks to itself',
    site: / 127\.0\.0\.1:\d+$/,
    conditions: ['self-connected'],
    outcome: 'reclaimed',
    needsKernel: false,
  },
]

/** Does this event end the story of that scene's connection? */
export function isOutcome(scene: Scene, { type, socket }: GuardEvent): boolean {
  const { condition, owner } = socket
  // A leak that healed has no condition any more.
  const isNamed = condition === null ? type === 'recovered' : scene.conditions.includes(condition)
  return type === scene.outcome && isNamed && scene.site.test(owner.site)
}
