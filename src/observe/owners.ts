/** Whose code leaks: puts together the context, the use of outgoing connections and the stacks. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import type { Direction } from '../core/vocabulary.js'
import type { ResolvedOptions } from '../options/options.js'
import { messageOf, warnOnce } from '../warnings.js'
import { patchSocketAccess } from './stacks/access-seam.js'
import { serveInContext } from './context/serve-in-context.js'
import { ServedRequest } from './context/served-request.js'
import { selectContext } from './context/source.js'
import { originOf } from './origin.js'
import { observeOutgoingRequests } from './requests/outgoing-requests.js'
import { directionOf, isTcp } from './socket-fields.js'
import { StackRecorder } from './stacks/stacks.js'
import { recordOf, type TrackedSocket } from './tracked-socket.js'

export interface OwnerHooks {
  adopt(socket: Socket, direction: Direction): TrackedSocket | null
  /** The guard itself is touching sockets right now. */
  isActing(): boolean
}

export interface Owners {
  onAdopted(record: TrackedSocket): void
  onOpened(record: TrackedSocket, args: readonly unknown[]): void
  onEnding(record: TrackedSocket): void
  onLeaked(record: TrackedSocket): void
  onReleased(record: TrackedSocket): void
  /** Puts the sensors in. @returns what takes them out again */
  start(hooks: OwnerHooks): () => void
}

/**
 * Costs nothing on the way with `context: 'off'` and `stacks: 'off'` but two subscriptions to channels of undici.
 *
 * @throws `SLG_ERR_MISSING_PEER`
 */
export function prepareOwners(options: Pick<ResolvedOptions, 'context' | 'stacks'>): Owners {
  const context = selectContext(options.context, options.stacks === 'always', (provider, error) => {
    warnOnce('SLG_WARN_CONTEXT', `the context provider "${provider}" threw: ${messageOf(error)}`)
  })
  const stacks = options.stacks === 'off' ? null : new StackRecorder(options.stacks)

  function recordAccesses(recorder: StackRecorder, hooks: OwnerHooks): () => void {
    function shielded(observe: () => void): void {
      try {
        observe()
      } catch (error) {
        onFailure(error)
      }
    }

    function onRequestReceived(message: unknown): void {
      shielded(() => {
        const { socket } = message as { socket?: unknown }
        const record = socket instanceof Socket ? recordOf(socket) : undefined
        if (record !== undefined) recorder.onRequestReceived(record)
      })
    }

    const unpatch = patchSocketAccess((socket, kind) => {
      if (hooks.isActing()) return
      shielded(() => {
        // A 'connection' handler runs before the channel of accepted sockets speaks.
        const record = recordOf(socket) ?? (isTcp(socket) ? hooks.adopt(socket, directionOf(socket)) : null)
        if (record !== null && record.socket === socket) recorder.onAccess(record, kind)
      })
    })
    subscribe('http.server.request.start', onRequestReceived)
    return function stopRecordingAccesses() {
      unsubscribe('http.server.request.start', onRequestReceived)
      unpatch()
    }
  }

  return {
    onAdopted(record) {
      stacks?.onAdopted(record)
    },
    onOpened(record, args) {
      const current = context?.current() ?? null
      if (current !== null) originOf(record).context = current
      if (current instanceof ServedRequest) current.onOpened(record)
      stacks?.onOpened(record, args)
    },
    onEnding(record) {
      stacks?.onAccess(record, 'ended')
    },
    onLeaked(record) {
      stacks?.onLeaked(record)
    },
    onReleased(record) {
      const { origin } = record
      origin?.serving?.onAnswered()
      if (origin?.context instanceof ServedRequest) origin.context.onClosed(record)
    },
    start(hooks) {
      const stops = [
        observeOutgoingRequests({
          adopt: (socket) => hooks.adopt(socket, 'outbound'),
          context,
          stacks,
          onFailure,
        }),
      ]
      if (stacks !== null) stops.push(recordAccesses(stacks, hooks))
      const { serve = null, handlers } = context ?? {}
      if (handlers !== undefined) stops.push(serveInContext({ handlers }, onFailure))
      else if (serve !== null) stops.push(serveInContext({ serve }, onFailure))
      return function stopObservingOwners() {
        for (const stop of stops.reverse()) stop()
        context?.stop()
      }
    },
  }
}

function onFailure(error: unknown): void {
  warnOnce('SLG_WARN_INTERNAL', `observing the owner of a socket failed: ${messageOf(error)}`)
}
