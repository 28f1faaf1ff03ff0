import { Socket } from 'node:net'
import type { Ledger } from '../core/ledger.js'
import { ACTIONS, type Action } from '../core/vocabulary.js'
import { describeValue, SocketLeakGuardError } from '../base/errors.js'
import type { ToldRoute } from '../owner/request-name.js'
import type { SocketRecord } from '../socket/record.js'

export function checkedSocket(socket: unknown): Socket {
  if (socket instanceof Socket) return socket
  throw new SocketLeakGuardError(
    'SLG_ERR_NOT_A_SOCKET',
    `socket must be a net.Socket or tls.TLSSocket, got ${describeValue(socket)}`,
  )
}

export function checkedLabel(label: unknown): string {
  if (typeof label === 'string') return label
  throw new SocketLeakGuardError(
    'SLG_ERR_INVALID_OPTION',
    `label must be a string, got ${describeValue(label)}`,
  )
}

export function checkedRequest(request: unknown): object {
  if (typeof request === 'object' && request !== null) return request
  throw new SocketLeakGuardError(
    'SLG_ERR_INVALID_OPTION',
    `request must be an http.IncomingMessage, got ${describeValue(request)}`,
  )
}

export function checkedRoute(route: unknown): ToldRoute {
  if (typeof route === 'string' || typeof route === 'function') return route as ToldRoute
  throw new SocketLeakGuardError(
    'SLG_ERR_INVALID_OPTION',
    `route must be a string or a function that returns one, got ${describeValue(route)}`,
  )
}

export function checkedRemedy(action: unknown): Action {
  if (action !== 'report' && (ACTIONS as readonly unknown[]).includes(action)) return action as Action
  throw new SocketLeakGuardError(
    'SLG_ERR_INVALID_OPTION',
    `action must be "end", "destroy" or "reset", got ${describeValue(action)}`,
  )
}

export function findSocket(ledger: Ledger<SocketRecord>, id: unknown): SocketRecord {
  for (const record of ledger) if (record.id === id) return record
  throw new SocketLeakGuardError(
    'SLG_ERR_NO_SUCH_SOCKET',
    `no tracked socket has the id ${describeValue(id)}`,
  )
}
