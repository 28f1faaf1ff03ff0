// `isActing()` marks our own calls, which pass our patches. `destroy()` gets no error: `'error'` could crash the host.
import type { Deed } from '../judge/policy.js'
import { armKeepAlive, disarmKeepAlive, mayFail } from './keep-alive.js'
import type { Socket } from 'node:net'
import type { KernelProbe } from '../kernel/probe.js'
import type { KeepAliveTimes } from '../core/kernel-facts.js'
import { descriptorOf } from '../socket/fields.js'
import { letGo, resetSocket, silenceUnheardRequest, silenceUnheardSession } from '../socket/closing.js'
import { isHttp2, sessionOn } from '../socket/http2.js'
import type { SocketRecord } from '../socket/record.js'

export type KernelSettings = Pick<KernelProbe, 'setKeepAlive' | 'readKeepAlive' | 'setUserTimeout'>

export interface Executor {
  isActing(): boolean
  perform(socket: Socket, deed: Deed): void
  setKeepAlive(record: SocketRecord, times: KeepAliveTimes | null): void
  setUserTimeout(record: SocketRecord, ms: number): void
  restore(record: SocketRecord): void
}

export function createExecutor(kernel: KernelSettings, onFailure: (error: unknown) => void): Executor {
  let acting = false

  function guarded(deed: () => void): void {
    const before = acting
    acting = true
    try {
      deed()
    } catch (error) {
      onFailure(error)
    } finally {
      acting = before
    }
  }

  function setUserTimeout(socket: Socket, ms: number): boolean {
    return kernel.setUserTimeout?.(descriptorOf(socket), ms) === true
  }

  return {
    isActing: () => acting,
    perform(socket, deed) {
      guarded(() => {
        carryOut(socket, deed)
      })
    },
    setKeepAlive(record, times) {
      guarded(() => {
        if (times === null) disarmKeepAlive(record, kernel)
        else armKeepAlive(record, times, kernel)
      })
    },
    setUserTimeout(record, ms) {
      guarded(() => {
        if (mayFail(record)) record.hasUserTimeout = setUserTimeout(record.socket, ms)
      })
    },
    restore(record) {
      guarded(() => {
        disarmKeepAlive(record, kernel)
        // Node has no call for it, so 0 restores the default.
        if (record.hasUserTimeout) setUserTimeout(record.socket, 0)
        record.hasUserTimeout = false
      })
    },
  }
}

function carryOut(socket: Socket, deed: Deed): void {
  silenceUnheardRequest(socket)
  if (deed !== 'end' && deed !== 'resume-end') silenceUnheardSession(socket)
  switch (deed) {
    case 'end':
      endGently(socket)
      return
    case 'resume-end':
      if (!isHttp2(socket)) socket.resume()
      endGently(socket)
      return
    case 'let-go':
      letGo(socket)
      return
    case 'destroy':
      socket.destroy()
      return
    case 'reset':
      if (!resetSocket(socket)) socket.destroy()
      return
  }
}

/** An HTTP/2 session that loses its connection unprepared emits `'error'`, which may have no listener. */
function endGently(socket: Socket): void {
  const session = sessionOn(socket)
  if (session === null) socket.end()
  else session.close()
}
