import type { Socket } from 'node:net'
import { createAnnouncer, type Announcer } from '../act/announcer.js'
import { createDetached, type RunDetached } from '../base/detached.js'
import { monotonicMs, setImmediate } from '../base/real-time.js'
import { Ledger } from '../core/ledger.js'
import type { SocketPolicy } from '../judge/policy.js'
import { ToldRoutes } from '../owner/request-name.js'
import { ReportSockets } from '../server/report-sockets.js'
import { Http2Streams } from '../socket/http2.js'
import type { SocketRecord } from '../socket/record.js'
import type { History } from './history.js'
import { keepSettings, type Settings } from './settings.js'

export interface Estate {
  readonly ledger: Ledger<SocketRecord>
  readonly unconnected: WeakMap<Socket, SocketRecord>
  readonly announcer: Announcer
  readonly settings: Settings
  readonly routes: ToldRoutes
  readonly streams: Http2Streams
  now(): number
  turn(): number
  nextId(): number
  readonly runDetached: RunDetached
  readonly reportSockets: ReportSockets
  /** Kept once a report endpoint is open, or somebody has asked for it. */
  history: History | null
}

export function createEstate(defaults: () => SocketPolicy, onPolicy: (policy: SocketPolicy) => void): Estate {
  const startedMs = monotonicMs()
  const ledger = new Ledger<SocketRecord>()
  let lastId = 0
  return {
    ledger,
    unconnected: new WeakMap(),
    announcer: createAnnouncer(),
    settings: keepSettings(ledger, defaults, onPolicy),
    routes: new ToldRoutes(),
    streams: new Http2Streams(),
    now: () => Math.trunc(monotonicMs() - startedMs) + 1,
    turn: createTurnCounter(),
    nextId: () => (lastId += 1),
    runDetached: createDetached(),
    reportSockets: new ReportSockets(),
    history: null,
  }
}

/** Counts event-loop turns while somebody asks. libuv may not have delivered input between two looks of one turn. */
function createTurnCounter(): () => number {
  let turn = 0
  let counting = false

  function onNextTurn(): void {
    turn += 1
    counting = false
  }

  return function currentTurn(): number {
    if (!counting) {
      counting = true
      // A whole poll phase lies between two immediates.
      setImmediate(() => setImmediate(onNextTurn).unref()).unref()
    }
    return turn
  }
}
