/** A server in a process of its own, with the guard or without, and what it answers about itself. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Usage } from './server.js'
import type { ServerKind } from './workloads.js'

const PROGRAM = fileURLToPath(new URL('server.js', import.meta.url))
export const PRELOAD = fileURLToPath(new URL('../../dist/register.cjs', import.meta.url))

export interface MeasuredServer {
  readonly port: number
  usage(): Promise<Usage>
  stop(): Promise<void>
}

export async function startServer(
  kind: ServerKind,
  { guarded, exposeGc = false }: { readonly guarded: boolean; readonly exposeGc?: boolean },
): Promise<MeasuredServer> {
  const execArgv = [...(exposeGc ? ['--expose-gc'] : []), ...(guarded ? ['--require', PRELOAD] : [])]
  const child = fork(PROGRAM, [kind], { execArgv, env: plainEnvironment() })
  const exited = once(child, 'exit')

  function nextMessage(): Promise<unknown> {
    return Promise.race([
      once(child, 'message').then(([message]) => message as unknown),
      exited.then(([code, signal]) => {
        throw new Error(`the ${kind} server ended early: ${String(signal ?? code)}`)
      }),
    ])
  }

  const { port } = (await nextMessage()) as { readonly port: number }
  return {
    port,
    async usage() {
      const answer = nextMessage()
      child.send('usage')
      return (await answer) as Usage
    },
    async stop() {
      child.disconnect()
      await exited
    },
  }
}

/** Without what would preload more than is to be compared, or set the guard to anything but its defaults. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env)
  return Object.fromEntries(
    entries.filter(([name]) => name !== 'NODE_OPTIONS' && !name.startsWith('SOCKET_LEAK_GUARD')),
  )
}
