import { once } from 'node:events'
import net from 'node:net'
import type { Guard, GuardEvent } from '../../src/index.js'
import type { Peer, PeerConnection } from './peer.js'

/** The next event of this type. Ask before the thing can happen. */
export function nextEvent(guard: Guard, type: GuardEvent['type']): Promise<GuardEvent> {
  return new Promise((resolve) => {
    const unsubscribe = guard.subscribe((event) => {
      if (event.type !== type) return
      unsubscribe()
      resolve(event)
    })
  })
}

export async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as net.AddressInfo).port
}

/** One connection between a server here and the peer over there. */
export async function meet(
  peer: Peer,
  server: net.Server,
  options: { readonly paused?: boolean; readonly linger2?: number; readonly tls?: boolean } = {},
): Promise<{ socket: net.Socket; connection: PeerConnection; port: number }> {
  const port = server.listening ? (server.address() as net.AddressInfo).port : await listen(server)
  const accepted = once(server, options.tls === true ? 'secureConnection' : 'connection') as Promise<
    [net.Socket]
  >
  const connection = await peer.connect({ port, ...options })
  const [socket] = await accepted
  return { socket, connection, port }
}
