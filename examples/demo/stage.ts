/** Everything that the story needs, made in this order and taken down in the opposite one. */
import { once } from 'node:events'
import net from 'node:net'
import { install, type Condition, type Guard, type SocketReport } from 'socket-leak-guard'
import { startApplication, type Application } from './application.js'
import type { DemoOptions } from './options.js'
import { startPeers, type PeerProcess } from './peer-process.js'

export interface Stage {
  readonly guard: Guard
  readonly reportUrl: string
  /** The port that was asked for was taken. */
  readonly isElsewhere: boolean
  readonly application: Application
  readonly peers: PeerProcess
  clear(): Promise<{ readonly ended: number; readonly destroyed: number; readonly left: number }>
}

const LOOPBACK = '127.0.0.1'
const UNREAD: ReadonlySet<Condition | null> = new Set(['eof-unread', 'fin-unseen', 'window-closed'])

/** Ends what is leaked, except where that would throw away data that nobody has read yet. */
function chooseAction({ condition }: SocketReport): 'report' | 'end' {
  return UNREAD.has(condition) ? 'report' : 'end'
}

export async function setStage(options: DemoOptions, onPeersLost: (how: string) => void): Promise<Stage> {
  const isElsewhere = !(await isFree(options.port))
  const guard = install({
    graceMs: options.graceMs,
    sweepMs: 500,
    kernel: options.kernel,
    stacks: 'always',
    action: chooseAction,
    report: `${LOOPBACK}:${isElsewhere ? 0 : options.port}`,
  })
  const listening = await guard.listening
  const peers = startPeers(onPeersLost)
  const { port: backendPort } = await peers.ask({ do: 'listen' })
  const application = await startApplication(backendPort ?? 0)
  await peers.ask({ do: 'visit', port: application.port })
  return {
    guard,
    reportUrl: listening?.url ?? '',
    isElsewhere,
    application,
    peers,
    async clear() {
      const { ended, destroyed } = await application.stop()
      await peers.stop()
      const left = guard.snapshot().totals.tracked
      guard.uninstall()
      return { ended, destroyed, left }
    },
  }
}

/** An install() whose port is taken would go on without a report, and say so in a warning. */
async function isFree(port: number): Promise<boolean> {
  const server = net.createServer()
  try {
    server.listen(port, LOOPBACK)
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}
