/** What docs/actions.md says that the application sees of each action: the guard closes a socket under code that waits for it. */
import { once, type EventEmitter } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'
import { Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import t from 'tap'
import { install, type Action } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen, meet } from '../support/events.js'
import { Peer } from '../support/peer.js'

const guard = install({ escalateMs: 50, reclaimDead: false })
const peer = new Peer()
t.teardown(() => {
  peer.kill()
  guard.uninstall()
})

const ACTIONS = ['end', 'destroy', 'reset'] as const satisfies readonly Action[]
const FORCEFUL = ['destroy', 'reset'] as const

function close(socket: net.Socket, action: Exclude<Action, 'report'>): void {
  guard.reclaim(guard.adapter.describe(socket)!.id, action)
}

/** `null`: it did not fail. */
async function failureOf(work: Promise<unknown>): Promise<string | null> {
  try {
    await work
    return null
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return `${code ?? (error as Error).name} ${message}`
  }
}

async function readToEnd(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const chunk of stream) void chunk
}

/** As `once()`, but without a listener for errors. */
function closing(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', resolve))
}

/** Takes one chunk and waits for ever. */
function stuck(): Writable {
  return new Writable({ highWaterMark: 1, write() {} })
}

for (const action of ACTIONS) {
  t.test(`${action}: a plain socket closes without an error`, async (t) => {
    const server = closeAfter(t, net.createServer({ allowHalfOpen: true }))
    const { socket, connection } = await meet(peer, server)
    const seen: string[] = []
    for (const event of ['finish', 'close', 'error']) socket.on(event, () => seen.push(event))
    socket.resume()
    connection.do({ do: 'end' })
    await once(socket, 'end')
    const done = failureOf(finished(socket))
    close(socket, action)
    const failure = await done
    if (action === 'end') t.equal(failure, null)
    else t.match(failure, 'ERR_STREAM_PREMATURE_CLOSE')
    if (!seen.includes('close')) await once(socket, 'close')
    t.same(seen, action === 'end' ? ['finish', 'close'] : ['close'])
    const late = new Promise<unknown>((resolve) => socket.write('late', resolve))
    const expected = action === 'end' ? 'ERR_STREAM_WRITE_AFTER_END' : 'ERR_STREAM_DESTROYED'
    t.match(await late, { code: expected })
    t.notOk(seen.includes('error'))
  })
}

for (const action of FORCEFUL) {
  t.test(`${action}: who awaits the input of a socket is rejected`, async (t) => {
    const { socket } = await meet(peer, closeAfter(t, net.createServer()))
    const reading = failureOf(readToEnd(socket))
    close(socket, action)
    t.match(await reading, 'ERR_STREAM_PREMATURE_CLOSE')
  })

  t.test(`${action}: a write that waits fails, but on Node 20 it does not say so`, async (t) => {
    const { socket } = await meet(peer, closeAfter(t, net.createServer()), { paused: true })
    const written = new Promise<Error | null | undefined>((resolve) => {
      socket.write(Buffer.alloc(30_000_000), resolve)
    })
    close(socket, action)
    const error = await written
    if (process.version.startsWith('v20.')) t.notOk(error)
    else t.match(error, { code: 'ECANCELED' })
  })

  t.test(`${action}: who awaits the body of a request is rejected`, async (t) => {
    const server = closeAfter(t, http.createServer())
    const port = await listen(server)
    const requested = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>
    const connection = await peer.connect({ port })
    connection.do({ do: 'write', text: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nhello' })
    const [request, response] = await requested
    const seen: string[] = []
    request.on('aborted', () => seen.push('aborted'))
    const working = failureOf(pipeline(request, stuck()))
    const closed = Promise.all([closing(request), closing(response)])
    close(request.socket, action)
    t.equal(await working, 'ECONNRESET aborted')
    await closed
    t.same(seen, ['aborted'])
  })

  t.test(`${action}: a request that waits for its answer emits an error`, async (t) => {
    const server = net.createServer((socket) => socket.on('error', () => {}).resume())
    const port = await listen(closeAfter(t, server))
    const request = http.get({ port, host: '127.0.0.1', agent: false })
    const failed = once(request, 'error') as Promise<[Error]>
    const [socket] = (await once(request, 'socket')) as [net.Socket]
    await once(socket, 'connect')
    close(socket, action)
    const [error] = await failed
    t.match(error, { code: 'ECONNRESET', message: 'socket hang up' })
  })

  t.test(`${action}: who awaits the body of an answer is rejected`, async (t) => {
    const server = http.createServer((_request, response) => response.writeHead(200).write('hello'))
    const port = await listen(closeAfter(t, server))
    const request = http.get({ port, host: '127.0.0.1', agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const reading = failureOf(readToEnd(response))
    close(response.socket, action)
    t.equal(await reading, 'ECONNRESET aborted')

    const fetched = await fetch(`http://127.0.0.1:${port}/`)
    const text = failureOf(fetched.text())
    const isUpstream = ({
      direction,
      remote,
    }: {
      direction: string
      remote: { port: number | null } | null
    }) => direction === 'outbound' && remote?.port === port
    const { id } = guard.report({ all: true }).sockets.find(isUpstream)!
    guard.reclaim(id, action)
    t.equal(await text, 'TypeError terminated')
  })
}
