/**
 * Half-closes that are meant, as old and new programs make them, against a guard that destroys what leaks: none is told as leaked,
 * none is closed, and everything arrives.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../src/index.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { runNode } from '../support/run-node.js'
import { until } from '../support/until.js'

const GRACE_MS = 600
const TICK_MS = 150
const TICKS = 12
const ANSWER = '.'.repeat(TICKS)

/** Longer than two graces in all, and never a whole one without a byte. */
async function tellSlowly(socket: NodeJS.WritableStream): Promise<void> {
  for (let told = 0; told < TICKS; told += 1) {
    await sleep(TICK_MS)
    socket.write('.')
  }
  socket.end()
}

function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

/** All of it; `node:stream/consumers` would destroy the socket. */
async function text(stream: Readable): Promise<string> {
  let all = ''
  stream.on('data', (chunk: Buffer) => (all += chunk.toString()))
  await once(stream, 'end')
  return all
}

/** Shuts down and reads, as most clients do that know half-closing at all. */
async function askAndShut(
  port: number,
  request: string,
  patience?: (client: net.Socket) => void,
): Promise<string> {
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  patience?.(client)
  client.end(request)
  return text(client)
}

/** Answers once the request has come to its end. */
function serve(t: Test, answer: (socket: net.Socket) => unknown): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume().on('end', () => answer(socket))
  })
  return listen(closeAfter(t, server))
}

type Scene = (t: Test, guard: Guard) => Promise<void>

const SCENES: Readonly<Record<string, Scene>> = {
  async 'shutdown, then read'(t) {
    t.equal(await askAndShut(await serve(t, tellSlowly), 'report, please'), ANSWER)
  },

  async 'nc -N'(t) {
    if (spawnSync('nc', ['-h']).error !== undefined) {
      t.comment('no nc here')
      return
    }
    const nc = spawn('nc', ['-N', '127.0.0.1', String(await serve(t, tellSlowly))], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    nc.stdin.end('report, please')
    t.equal(await text(nc.stdout), ANSWER)
  },

  // Standard input is over at once, output comes for long, and errors have a connection of their own, opened backwards.
  async 'rsh: stdout, and a silent stderr beside it'(t) {
    const errors = net.createServer()
    const stderr = once(errors, 'connection') as Promise<[net.Socket]>
    const errorPort = await listen(closeAfter(t, errors))
    const port = await serve(t, async (socket) => {
      const beside = net.connect(errorPort, '127.0.0.1')
      await tellSlowly(socket)
      beside.end('exit 0')
    })
    const output = askAndShut(port, 'make all')
    const [beside] = await stderr
    t.equal(await output, ANSWER)
    t.equal(await text(beside), 'exit 0')
  },

  async 'HTTP/1.0, the request ended by a FIN'(t) {
    const server = http.createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      void tellSlowly(response)
      request.resume()
    })
    ;(server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true
    const answer = await askAndShut(await listen(closeAfter(t, server)), 'GET / HTTP/1.0\r\n\r\n')
    t.ok(answer.endsWith(`\r\n\r\n${ANSWER}`))
  },

  async 'HTTP/1.0, the response ended by a FIN, to a client that closes late'(t) {
    const server = http.createServer((_request, response) => response.end('all of it'))
    const client = net.connect({
      port: await listen(closeAfter(t, server)),
      host: '127.0.0.1',
      allowHalfOpen: true,
    })
    client.write('GET / HTTP/1.0\r\n\r\n')
    t.match(await text(client), /all of it$/)
    client.end()
    await once(client, 'close')
  },

  async 'a git daemon: a computation that blocks the loop, then a pack'(t) {
    const port = await serve(t, (socket) => {
      block(2 * GRACE_MS)
      void tellSlowly(socket)
    })
    t.equal(await askAndShut(port, '0032want 0123456789\n00000009done\n'), ANSWER)
  },

  async 'a computation elsewhere, longer than the grace, between two that say so'(t, guard) {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume().on('end', () => void sleep(3 * GRACE_MS).then(() => socket.end('42')))
    })
    guard.adapter.configureServer(server, { graceMs: 60_000 })
    const port = await listen(closeAfter(t, server))
    const patience = (client: net.Socket): void => guard.configure(client, { graceMs: 60_000 })
    t.equal(await askAndShut(port, '6 * 7', patience), '42')
  },

  async 'the same, exempt'(t, guard) {
    const port = await serve(t, (socket) => {
      guard.exempt(socket)
      void sleep(3 * GRACE_MS).then(() => socket.end('42'))
    })
    t.equal(await askAndShut(port, '6 * 7', (client) => guard.exempt(client)), '42')
  },

  async 'an upload after the server has said its word'(t) {
    const server = net.createServer({ allowHalfOpen: true })
    const client = net.connect({
      port: await listen(closeAfter(t, server)),
      host: '127.0.0.1',
      allowHalfOpen: true,
    })
    const [socket] = (await once(server, 'connection')) as [net.Socket]
    socket.end('send it')
    void tellSlowly(client)
    t.equal(await text(socket), ANSWER)
    t.equal(await text(client), 'send it')
  },

  async 'server-sent events'(t) {
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      void tellSlowly(response)
    })
    const response = await fetch(`http://127.0.0.1:${await listen(closeAfter(t, server))}/`)
    t.equal(await response.text(), ANSWER)
  },

  async 'a long poll'(t) {
    const server = http.createServer((_request, response) => {
      void sleep(3 * GRACE_MS).then(() => response.end('news'))
    })
    const response = await fetch(`http://127.0.0.1:${await listen(closeAfter(t, server))}/`)
    t.equal(await response.text(), 'news')
  },

  async 'a slow consumer of a half-closed upload'(t, guard) {
    const bytes = 1_000_000
    let consumed = 0
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('data', (chunk: Buffer) => {
        consumed += chunk.length
        socket.pause()
        setTimeout(() => socket.resume(), TICK_MS / 2)
      })
      socket.on('end', () => socket.end(String(consumed)))
    })
    const client = net.connect({
      port: await listen(closeAfter(t, server)),
      host: '127.0.0.1',
      allowHalfOpen: true,
    })
    // That its bytes leave the buffers of the other side is nothing that this one could see.
    guard.exempt(client)
    client.end(Buffer.alloc(bytes))
    t.equal(await text(client), String(bytes))
  },
}

t.test('none of these leaks', { jobs: Object.keys(SCENES).length }, async (t) => {
  const guard = install({ graceMs: GRACE_MS, sweepMs: 25, action: 'destroy', log: false })
  t.teardown(() => guard.uninstall())
  const told: string[] = []
  guard.subscribe(({ type, socket }) => {
    if (type !== 'suspect') told.push(`${type}: ${socket.diagnosis}`)
  })
  await Promise.all(
    Object.entries(SCENES).map(([name, scene]) => t.test(name, { buffered: true }, (t) => scene(t, guard))),
  )
  t.same(told, [])
  t.match(guard.sweep().totals, { leaked: 0, recovered: 0, reclaimed: 0, dead: 0 })
})

t.test('a silent computation for which nobody has spoken: told, not closed, and taken back', async (t) => {
  using guard = install({ graceMs: GRACE_MS, sweepMs: 25, log: false })
  const told = new Set<string>()
  guard.subscribe(({ type, socket }) => told.add(`${socket.direction} ${type}`))
  const port = await serve(t, async (socket) => {
    await until(() => guard.snapshot().totals.leaked === 2, 'both sides are told as leaked')
    socket.end('42')
  })
  t.equal(await askAndShut(port, '6 * 7'), '42')
  await until(() => guard.snapshot().totals.recovered === 2, 'both are taken back')
  const expected = ['suspect', 'leaked', 'recovered'].flatMap((type) => [
    `inbound ${type}`,
    `outbound ${type}`,
  ])
  t.same([...told].sort(), expected.sort())
})

t.test('an hour of slow transfers, by a clock that is turned by hand', async (t) => {
  const program = join(import.meta.dirname, '..', 'programs', 'slow-hour.js')
  const { code, stdout, stderr } = await runNode([program])
  t.equal(code, 0, stderr)
  const { told, arrived, wanted } = JSON.parse(stdout) as Record<string, Record<string, unknown>>
  t.same(arrived, {
    answer: wanted!['moves'],
    events: wanted!['moves'],
    polled: 1,
    consumed: wanted!['flood'],
  })
  t.same(told!['left alone, near'], ['suspect', 'leaked', 'reclaimed'], 'the clock went for this one')
  for (const [name, types] of Object.entries(told!)) {
    if (!name.startsWith('left alone')) t.same(new Set(types as string[]), new Set(['suspect']), name)
  }
})
