/** What the peer does to the programs of docs/leaks.md: the same before and after the fix. */
import { once } from 'node:events'
import net from 'node:net'
import type { Condition } from '../../src/index.js'
import type { LeakProgram } from './leak-program.js'
import type { Peer, PeerConnection } from './peer.js'

export interface LeakScene {
  /** The owner that the report must name; 3000 is the program's port, 4000 the peer's. */
  readonly site: string
  /** How the guard tells of it. @default 'leaked' */
  readonly verdict?: 'leaked' | 'dead'
  /** What the guard must be asked for, without the prefix. */
  readonly env?: Readonly<Record<string, string>>
  /** Only Linux tells. */
  readonly needsKernel?: boolean
  /** Makes whatever stands behind port 4000. */
  readonly target?: (peer: Peer) => Promise<number>
  /** The peer that comes to port 3000. */
  readonly visit?: (peer: Peer, port: number, program: LeakProgram) => Promise<void>
}

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n'
const MORE_THAN_ALL_BUFFERS = 16_000_000

function visitor(
  play: (connection: PeerConnection) => unknown,
  paused = false,
): NonNullable<LeakScene['visit']> {
  return async (peer, port) => {
    await play(await peer.connect({ port, paused }))
  }
}

async function unusedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export const LEAK_SCENES: Readonly<Record<Condition, LeakScene>> = {
  'eof-ignored': {
    site: 'upgrade /chat',
    visit: visitor(async (connection) => {
      connection.do({ do: 'write', text: UPGRADE })
      await connection.saw('data')
      connection.do({ do: 'end' })
    }),
  },
  'eof-unread': {
    site: 'listener :3000',
    visit: visitor((connection) => connection.do({ do: 'end', text: 'thanks' })),
  },
  'fin-unseen': {
    site: 'listener :3000',
    needsKernel: true,
    visit: visitor((connection) => connection.do({ do: 'end', text: 'hello' })),
  },
  'window-closed': {
    site: 'to 127.0.0.1:4000',
    needsKernel: true,
    async target(peer) {
      const connection = peer.open().do({ do: 'listen' })
      const { port } = await connection.saw('listening')
      void connection.saw('data').then(() => {
        const head = `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${MORE_THAN_ALL_BUFFERS}\r\n\r\n`
        connection.do({ do: 'write', text: head })
        connection.do({ do: 'write', bytes: MORE_THAN_ALL_BUFFERS }).do({ do: 'end' })
      })
      return port!
    },
  },
  'reset-unseen': {
    site: 'listener :3000',
    verdict: 'dead',
    async visit(peer, port, program) {
      const connection = (await peer.connect({ port })).do({ do: 'end', text: 'question' })
      // Node must have seen the end, or it would be told of the reset.
      await program.sawVerdict('suspect')
      connection.do({ do: 'reset' })
    },
  },
  'fin-wait': { site: 'listener :3000', visit: visitor(() => {}) },
  'write-stalled': { site: 'listener :3000', visit: visitor(() => {}, true) },
  'closed-unread': {
    site: 'upgrade /chat',
    visit: visitor(async (connection) => {
      connection.do({ do: 'write', text: UPGRADE })
      await connection.saw('end')
      connection.do({ do: 'end', text: 'first frame' })
    }),
  },
  'self-connected': { site: 'to 127.0.0.1:4000', target: unusedPort },
  abandoned: {
    site: 'GET /feed → 127.0.0.1:4000',
    env: { PROPAGATE_ABORT: 'pipe' },
    async target(peer) {
      return (await peer.open().do({ do: 'listen' }).saw('listening')).port!
    },
    async visit(peer, port, program) {
      const connection = await peer.connect({ port })
      connection.do({ do: 'write', text: 'GET /feed HTTP/1.1\r\nHost: feeds.example\r\n\r\n' })
      // Once the upstream is asked, the client loses its patience.
      await program.saw('opened', ({ id }) => id > 1)
      connection.do({ do: 'end' })
    },
  },
}
