// What a holder of the token may do: `POST /locate?id=7`, `/reclaim?id=7&action=end`, `/exempt?id=7` (or `&exempt=0`).
import type { IncomingMessage } from 'node:http'
import type { CodeReport, SnapshotQuery, Report } from '../core/report.js'
import type { Action } from '../core/vocabulary.js'
import { SocketLeakGuardError } from '../base/errors.js'
import { messageOf } from '../base/warnings.js'
import { withoutQueries } from '../report/printable.js'

export interface DeedSource {
  snapshot(query: SnapshotQuery): Report
  locate(id: number): CodeReport
  reclaim(id: number, action: Exclude<Action, 'report'>): void
  exempt(id: number, isExempt: boolean): void
}

export type Outcome = { readonly done: object } | { readonly status: number; readonly message: string }

type Deed = (source: DeedSource, id: number, asked: URLSearchParams) => object

const DEEDS: ReadonlyMap<string, Deed> = new Map<string, Deed>([
  ['/locate', (source, id) => source.locate(id)],
  [
    '/reclaim',
    (source, id, asked) => {
      const action = (asked.get('action') ?? 'end') as Exclude<Action, 'report'>
      source.reclaim(id, action)
      return { id, action, ...leftOf(source, id) }
    },
  ],
  [
    '/exempt',
    (source, id, asked) => {
      const exempt = asked.get('exempt') !== '0'
      source.exempt(id, exempt)
      return { id, exempt, ...leftOf(source, id) }
    },
  ],
])

const STATUS: Readonly<Record<string, number>> = { SLG_ERR_NO_SUCH_SOCKET: 404, SLG_ERR_INVALID_OPTION: 400 }

export function isDeed(path: string): boolean {
  return DEEDS.has(path)
}

/** A browser says where a request comes from; another port of this host is another origin. */
export function isFromElsewhere({ headers }: IncomingMessage): boolean {
  const from = headers['sec-fetch-site']
  return from !== undefined && from !== 'same-origin' && from !== 'none'
}

export function doDeed(source: DeedSource, path: string, search: string): Outcome {
  const asked = new URLSearchParams(search)
  const text = asked.get('id') ?? ''
  const id = /^\d{1,16}$/.test(text) ? Number(text) : NaN
  try {
    return { done: DEEDS.get(path)!(source, id, asked) }
  } catch (error) {
    const status = error instanceof SocketLeakGuardError ? STATUS[error.code] : undefined
    if (status === undefined) throw error
    return { status, message: `${messageOf(error)}: ask for ${path}?id=<id of a socket>.` }
  }
}

function leftOf(source: DeedSource, id: number): object {
  const [socket] = source.snapshot({ id, limit: 1 }).sockets
  return { socket: socket === undefined ? null : withoutQueries(socket) }
}
