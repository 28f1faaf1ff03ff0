/** Real connections over loopback whose two ends are in this process, and the patience to watch them. */
import { createServer, connect, type ServerOpts, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KernelProbe, KernelSample, ProbeTarget } from '../../src/kernel/probe.js'

export interface Pair {
  readonly server: Socket
  readonly client: Socket
  readonly listener: Server
}

/** `host` of the listener; the client comes over IPv4, unless that is `::1`. Closed when the test ends. */
export async function connectPair(
  t: { teardown(close: () => void): void },
  options: ServerOpts = {},
  host = '127.0.0.1',
): Promise<Pair> {
  const listener = createServer({ allowHalfOpen: true, ...options })
  await new Promise<void>((resolve) => listener.listen(0, host, resolve))
  const { port } = listener.address() as { port: number }
  const accepted = new Promise<Socket>((resolve) => listener.once('connection', resolve))
  const client = connect({ port, host: host === '::1' ? '::1' : '127.0.0.1', allowHalfOpen: true })
  client.on('error', () => {})
  await new Promise<void>((resolve) => client.once('connect', resolve))
  const server = await accepted
  server.on('error', () => {})
  t.teardown(() => {
    client.destroy()
    server.destroy()
    listener.close()
  })
  return { server, client, listener }
}

export function fdOf(socket: object): number {
  return (socket as { _handle?: { fd: number } | null })._handle?.fd ?? -1
}

export function targetOf(socket: object): ProbeTarget {
  return { inode: 0, fd: () => fdOf(socket) }
}

export function ask(probe: KernelProbe, ...sockets: object[]): ReadonlyArray<KernelSample | null> {
  const run = probe.ask(sockets.map(targetOf))
  while (!run.advance(Infinity));
  return run.samples
}

/** Asks about one socket until the answer is as expected. The answer when time runs out is returned too. */
export async function askUntil(
  probe: KernelProbe,
  socket: object,
  isExpected: (sample: KernelSample) => boolean,
): Promise<KernelSample | null> {
  for (let tries = 0; ; tries += 1) {
    const [sample] = ask(probe, socket)
    if (tries === 400 || (sample && isExpected(sample))) return sample ?? null
    await sleep(25)
  }
}
