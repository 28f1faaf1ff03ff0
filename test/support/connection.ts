import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'

export interface Connection {
  readonly client: net.Socket
  readonly accepted: net.Socket
  readonly server: net.Server
}

/** A connection within this process, both ends closed afterwards. */
export async function withServer(
  options: net.ServerOpts,
  use: (connection: Connection) => Promise<void>,
): Promise<void> {
  const server = net.createServer(options)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = once(server, 'connection') as Promise<[net.Socket]>
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1').resume()
  const [accepted] = await connection
  accepted.resume()
  try {
    await use({ client, accepted, server })
  } finally {
    client.destroy()
    accepted.destroy()
    server.close()
    await once(server, 'close')
  }
}
