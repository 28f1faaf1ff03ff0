/** This side of the peers: starts their process, tells it what to do, and notices when it is gone. */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import type { SceneName } from './scenes.js'

export type PeerRequest = { readonly id: number } & PeerTask

type PeerTask =
  | { readonly do: 'listen' }
  | { readonly do: 'visit'; readonly port: number }
  | { readonly do: 'play'; readonly role: SceneName | 'stay-for-feed' }
  | { readonly do: 'fetch'; readonly url: string }
  | { readonly do: 'count' }

export interface PeerReply {
  readonly id: number
  readonly port?: number
  readonly text?: string
  readonly count?: number
  readonly error?: string
}

export interface PeerProcess {
  readonly pid: number
  /** Waits until it is done. Rejects when the signal is aborted; an error of the peers is in the reply. */
  ask(task: PeerTask, signal?: AbortSignal): Promise<PeerReply>
  stop(): Promise<void>
}

const GONE = 'the peers are gone'

/** @param onLost told once when the process ends without having been stopped */
export function startPeers(onLost: (how: string) => void): PeerProcess {
  const child = fork(join(import.meta.dirname, 'peers.js'), {
    // Not guarded, whatever this process was started with.
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const waiting = new Map<number, (reply: PeerReply) => void>()
  let lastId = 0
  let isStopping = false

  child.on('message', (reply: PeerReply) => waiting.get(reply.id)?.(reply))
  // A message that could not be sent any more; 'exit' follows.
  child.on('error', () => {})
  const gone = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      for (const [id, answer] of waiting) answer({ id, error: GONE })
      if (!isStopping) onLost(signal ?? `exit code ${code}`)
      resolve()
    })
  })

  return {
    pid: child.pid ?? 0,
    ask(task, signal) {
      const id = (lastId += 1)
      return new Promise((resolve, reject) => {
        function settle(): void {
          waiting.delete(id)
          signal?.removeEventListener('abort', onAbort)
        }
        function onAbort(): void {
          settle()
          reject(signal?.reason as Error)
        }
        waiting.set(id, (reply) => {
          settle()
          resolve(reply)
        })
        if (signal?.aborted) onAbort()
        signal?.addEventListener('abort', onAbort)
        if (child.connected) child.send({ id, ...task })
        else waiting.get(id)?.({ id, error: GONE })
      })
    },
    async stop() {
      isStopping = true
      if (child.connected) child.disconnect()
      await gone
    },
  }
}
