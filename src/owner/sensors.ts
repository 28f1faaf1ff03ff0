// Listens for what can't be looked up later: which request opens something, and on which line. With `context: 'off'`
// and `stacks: 'off'` it listens to nothing.
import { Socket } from 'node:net'
import { bySymbol, readField, readText } from '../core/foreign.js'
import type { RunDetached } from '../base/detached.js'
import type { EventType } from '../core/vocabulary.js'
import type { ResolvedOptions } from '../options/options.js'
import { listenToChannels, tellsRequestsMade } from '../socket/channels.js'
import {
  accessPatches,
  applyPatches,
  assignmentPatch,
  sessionPatches,
  type Patch,
  type RequestRunner,
  type RequestScope,
} from '../socket/patches.js'
import { addressesOf } from '../socket/addresses.js'
import { clientRequestOf } from '../socket/fields.js'
import { sessionOn } from '../socket/http2.js'
import { hintOf, type RequestName, type SocketRecord } from '../socket/record.js'
import { setImmediate, setTimeout } from '../base/real-time.js'
import { messageOf, warnOnce } from '../base/warnings.js'
import { selectContext } from './context/source.js'
import { Work } from './context/work.js'
import { Openings } from './openings.js'
import { Opener, type Maker } from './outgoing.js'
import { PeerPorts } from './peer-ports.js'
import { nameRequest } from './request-name.js'
import type { OwnerSources } from './resolve.js'
import { Stacks } from './stacks/recorder.js'

export interface SensorHooks {
  isActive(): boolean
  isActing(): boolean
  readonly runDetached: RunDetached
  recordOf(socket: Socket): SocketRecord | null
  labelOf(record: SocketRecord): string | null
  onFailure(error: unknown): void
}

export interface OwnerSensors {
  readonly sources: OwnerSources
  readonly scope: RequestScope | RequestRunner | null
  readonly patches: readonly Patch[]
  onAdopted(record: SocketRecord): void
  onOpened(record: SocketRecord, args: ArrayLike<unknown>): void
  onLocalEnded(record: SocketRecord): void
  onSession(socket: Socket): void
  onVerdict(record: SocketRecord, type: EventType): void
  onReleased(record: SocketRecord): void
  nameRequest(request: unknown): RequestName | null
  stop(): void
}

export function startOwnerSensors(
  options: Pick<ResolvedOptions, 'context' | 'stacks'>,
  { routes, streams }: Pick<OwnerSources, 'routes' | 'streams'>,
  hooks: SensorHooks,
): OwnerSensors {
  const makers = new WeakMap<object, Maker>()
  const context = selectContext(options.context, options.stacks === 'always', routes, (provider, error) => {
    warnOnce('SLG_WARN_CONTEXT', `the context provider "${provider}" threw: ${messageOf(error)}`)
  })
  const stacks =
    options.stacks === 'off'
      ? null
      : new Stacks(options.stacks, {
          later: (callback, ms) => hooks.runDetached(() => void setTimeout(callback, ms).unref()),
        })
  const hearsRequests = stacks !== null || context?.isAsync === true

  function onRequestMade(request: object): void {
    const current = context?.current() ?? null
    if (current instanceof Work) current.note()
    makers.set(request, { context: current, stack: stacks?.captureRequest(request) ?? null })
  }

  function onRequestReceived(socket: unknown): void {
    const record = socket instanceof Socket ? hooks.recordOf(socket) : null
    if (record !== null) stacks?.onRequestReceived(record)
  }

  const ports = new PeerPorts()
  function nameTunnel(record: SocketRecord): void {
    try {
      const request = clientRequestOf(record.socket)
      const path = request === null ? null : readText(request, 'path')
      if (path !== null) hintOf(record).request = { method: 'CONNECT', path, route: '' }
    } catch (error) {
      hooks.onFailure(error)
    }
  }

  const openings = new Openings(hooks.onFailure)
  const patches: Patch[] = []
  if (stacks !== null) {
    const onAccess = (socket: Socket, access: 'paused' | 'wrote' | 'reader'): void => {
      if (hooks.isActing()) return
      try {
        const record = hooks.recordOf(socket)
        if (record !== null && record.socket === socket) stacks.onAccess(record, access)
      } catch (error) {
        hooks.onFailure(error)
      }
    }
    patches.push(...accessPatches(onAccess, hooks.isActive))
  }
  if (hearsRequests && !tellsRequestsMade()) {
    patches.push(assignmentPatch(shielded(onRequestMade, hooks.onFailure), hooks.isActive))
  }
  const stopListening = listenToChannels(
    {
      'http.client.request.created':
        hearsRequests && tellsRequestsMade() ? ({ request }) => onRequestMade(request) : null,
      'undici:request:create': hearsRequests ? ({ request }) => onRequestMade(request) : null,
      'http.server.request.start': stacks === null ? null : ({ socket }) => onRequestReceived(socket),
      'tracing:net.server.listen:asyncStart':
        stacks === null ? null : ({ server }) => stacks.onListen(server),
    },
    hooks.onFailure,
  )

  function onSessionClosed(session: object): void {
    const socket = bySymbol(session, 'socket')
    const record = socket instanceof Socket ? hooks.recordOf(socket) : null
    if (record !== null && !hooks.isActing()) stacks?.onAccess(record, 'ended')
  }

  let unpatchSessions: (() => void) | null = null

  return {
    sources: {
      routes,
      streams,
      makers,
      ports,
      labelOf: hooks.labelOf,
      readStacks: stacks === null ? null : (record, which) => stacks.describe(record, which),
    },
    scope: context?.scope ?? null,
    patches,
    onAdopted(record) {
      stacks?.onAdopted(record)
    },
    onOpened(record, args) {
      if (asksForTunnel(args)) hooks.runDetached(() => void setImmediate(nameTunnel, record).unref())
      const current = context?.current() ?? null
      if (current !== null) {
        record.opener = new Opener(current)
        if (current instanceof Work) {
          current.note()
          openings.add(record, current)
        }
      }
      stacks?.onOpened(record, args)
    },
    onLocalEnded(record) {
      if (stacks !== null && !hooks.isActing()) stacks.onAccess(record, 'ended')
    },
    onSession(socket) {
      const session = stacks === null || unpatchSessions !== null ? null : sessionOn(socket)
      if (session === null) return
      unpatchSessions = applyPatches(
        sessionPatches(session, shielded(onSessionClosed, hooks.onFailure), hooks.isActive),
      )
    },
    onVerdict(record, type) {
      if (type === 'leaked') stacks?.onLeaked(record)
      if (type !== 'suspect') return
      const { local, remote } = addressesOf(record)
      if (record.direction === 'outbound' && remote !== null) ports.note(remote)
      else if (record.direction === 'inbound' && local !== null) ports.note({ ...local, address: '' })
    },
    onReleased(record) {
      openings.onReleased(record)
      stacks?.onReleased(record)
    },
    nameRequest: (request) =>
      typeof request === 'object' && request !== null ? nameRequest(request, routes) : null,
    stop() {
      stopListening()
      unpatchSessions?.()
      openings.stop()
      context?.stop()
    },
  }
}

/** An agent passes the request's options to `connect()` (lib/_http_agent.js `createSocket`). */
function asksForTunnel(args: ArrayLike<unknown>): boolean {
  const options: unknown = Array.isArray(args[0]) ? (args[0] as unknown[])[0] : args[0]
  return typeof options === 'object' && options !== null && readField(options, 'method') === 'CONNECT'
}

function shielded<T>(
  listener: (subject: T) => void,
  onFailure: (error: unknown) => void,
): (subject: T) => void {
  return (subject) => {
    try {
      listener(subject)
    } catch (error) {
      onFailure(error)
    }
  }
}
