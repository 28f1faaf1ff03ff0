/** The host that will vanish: comes as a client and is there as a server. Started by `NetworkNamespace.start()`. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { obey } from './actor.js'
import { CERTIFICATE } from './certificate.js'
import { playAgainst, type Kind, type SceneName } from './vanishing.js'

const waiting: (() => void)[] = []

/** The client's first word is the scene. */
function onAccepted(socket: net.Socket): void {
  socket.once('data', (name: Buffer) => {
    socket.write('as you like')
    waiting.push(() => playAgainst(socket, name.toString() as SceneName))
    socket.pause()
  })
}

const actions = {
  async listen(host: string): Promise<Readonly<Record<'client' | 'tls-client', number>>> {
    const servers = [
      net.createServer({ allowHalfOpen: true }, onAccepted),
      tls.createServer({ ...CERTIFICATE, allowHalfOpen: true }, onAccepted),
    ]
    const [client, tlsClient] = await Promise.all(
      servers.map(async (server) => {
        await once(server.listen(0, host), 'listening')
        return (server.address() as net.AddressInfo).port
      }),
    )
    return { client: client!, 'tls-client': tlsClient! }
  },
  async visit(kind: Kind, scene: SceneName, host: string, port: number): Promise<void> {
    const options = { host, port, allowHalfOpen: true }
    const isTls = kind === 'tls-server'
    const socket = isTls ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options)
    await once(socket, isTls ? 'secureConnect' : 'connect')
    const upgrade = `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${scene}\r\n\r\n`
    socket.write(kind === 'upgraded' ? upgrade : scene)
    await once(socket, 'data')
    socket.pause()
    waiting.push(() => playAgainst(socket, scene))
  },
  /** Once the other side has begun: a first word must not be read with what follows. */
  begin(): void {
    for (const play of waiting) play()
  },
}

export type VanishingHost = typeof actions

obey(actions)
