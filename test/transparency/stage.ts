/** What the scenes have in common. */
import { once, type EventEmitter } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { CERTIFICATE } from '../support/certificate.js'
import type { Recorder } from './recorder.js'

export type Scene = (note: Recorder['note']) => unknown

export const HOST = '127.0.0.1'
export const TRUSTING = { ...CERTIFICATE, rejectUnauthorized: false }

export async function listen(server: net.Server): Promise<number> {
  await once(server.listen(0, HOST), 'listening')
  return (server.address() as AddressInfo).port
}

/** Serves while the act lasts; over when every connection is. */
export async function serving<S extends net.Server>(
  server: S,
  act: (port: number, server: S) => unknown,
): Promise<void> {
  const port = await listen(server)
  await act(port, server)
  server.close()
  await once(server, 'close')
}

export async function closed(...emitters: readonly EventEmitter[]): Promise<void> {
  await Promise.all(
    emitters.map((emitter) => new Promise<void>((done) => emitter.once('close', () => done()))),
  )
}

/** One connection between two sockets, which the act brings to an end. */
export async function pair(
  act: (client: net.Socket, accepted: net.Socket) => unknown,
  options: net.ServerOpts = {},
): Promise<void> {
  await serving(net.createServer(options), async (port, server) => {
    const arrival = once(server, 'connection') as Promise<[net.Socket]>
    const client = net.connect({ port, host: HOST, ...options })
    const [[accepted]] = await Promise.all([arrival, once(client, 'connect')])
    const end = closed(client, accepted)
    await act(client, accepted)
    await end
  })
}

export async function ask(options: http.RequestOptions, body?: string): Promise<string> {
  const request = http.request({ host: HOST, agent: false, ...options })
  request.end(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  return `${response.statusCode} ${await text(response)}`
}
