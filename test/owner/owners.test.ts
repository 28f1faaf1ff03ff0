/** Whose code leaks: an application in a process of its own, with the preload alone and with an adapter. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { SocketReport } from '../../src/index.js'
import { usesAsyncContextFrame } from '../../src/owner/context/async-context-frame.js'
import { PACKAGE_ROOT, REGISTER } from '../support/package-root.js'
import { runNode } from '../support/run-node.js'

const PROGRAM = join(PACKAGE_ROOT, 'build', 'test', 'programs', 'leaky-proxy.js')
const SOURCE = join(PACKAGE_ROOT, 'test', 'programs', 'leaky-proxy.ts')

interface Found {
  readonly upstreamPort: number
  readonly sockets: SocketReport[]
}

async function preloaded(context: string, stacks: string, args: string[] = []): Promise<Found> {
  const env = { SOCKET_LEAK_GUARD_CONTEXT: context, SOCKET_LEAK_GUARD_STACKS: stacks }
  return parse(await runNode([...args, '--require', REGISTER, PROGRAM], { env, cwd: PACKAGE_ROOT }))
}

function parse({ code, stdout, stderr }: { code: number | null; stdout: string; stderr: string }): Found {
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const shown = JSON.stringify(JSON.parse(stdout), (key, value: unknown) =>
    key === 'stack' || key === 'accesses' ? undefined : value,
  )
  t.notMatch(shown, 'secret', 'no query string anywhere')
  return JSON.parse(stdout) as Found
}

/** Where this piece of the program was written, as the report shows it. */
function placeOf(code: string): string {
  const lines = readFileSync(SOURCE, 'utf8').split('\n')
  const index = lines.findIndex((line) => line.includes(code))
  t.not(index, -1, code)
  return `${SOURCE.slice(PACKAGE_ROOT.length + 1)}:${index + 1}`
}

const WAYS: [name: string, run: () => Promise<Found>][] = [
  ['the preload alone', () => preloaded('async-local-storage', 'always')],
  [
    'an adapter',
    async () =>
      parse(await runNode([PROGRAM, 'adapter', 'async-local-storage', 'always'], { cwd: PACKAGE_ROOT })),
  ],
]

for (const [name, run] of WAYS) {
  t.test(`with ${name} everybody is named`, async (t) => {
    const { sockets, upstreamPort } = await run()
    const upstream = `127.0.0.1:${upstreamPort}`
    t.match(
      sockets.map(({ owner }) => owner.site),
      [
        `GET /tunnel/:id → ${upstream}`,
        `GET /pooled/:id → ${upstream}`,
        `GET /fetched/:id → ${upstream}`,
        'upgrade /chat',
      ],
    )
    const [tunnel, pooled, fetched, upgrade] = sockets
    t.match(tunnel, { kind: 'tcp', owner: { request: null, context: { request: 'GET /tunnel/:id' } } })
    t.ok(
      tunnel!.owner.stack![0]!.startsWith(
        `${placeOf('net.connect(upstreamPort')} - const socket = net.connect(`,
      ),
    )
    t.ok(tunnel!.owner.accesses!.paused![0]!.startsWith(placeOf('socket.pause()')))

    const origin = `http://${upstream}`
    t.match(pooled, { kind: 'http', owner: { request: { method: 'GET', path: '/big', origin } } })
    t.ok(pooled!.owner.stack![0]!.startsWith(placeOf('http.get(')))
    t.match(pooled!.diagnosis, `GET ${origin}/big)`)
    t.match(fetched, { kind: 'http', owner: { request: { method: 'GET', path: '/big/fetch', origin } } })
    t.ok(fetched!.owner.stack![0]!.startsWith(placeOf('fetch(`http')))

    t.match(upgrade, { kind: 'upgrade', direction: 'inbound' })
    t.ok(upgrade!.owner.stack![0]!.startsWith(placeOf("socket.write('HTTP/1.1 101")))
    for (const { owner } of sockets) {
      t.notMatch(
        JSON.stringify(owner),
        /node:|dist\/|internal\/|deps\/undici/,
        "neither Node's frames nor ours",
      )
    }
  })
}

t.test('with context and stacks off the request that goes out is named all the same', async (t) => {
  const { sockets, upstreamPort } = await preloaded('off', 'off')
  t.match(
    sockets.map(({ owner: { site, request, context, stack } }) => ({
      site,
      path: request?.path,
      context,
      stack,
    })),
    [
      { site: `to 127.0.0.1:${upstreamPort}`, path: undefined, context: {}, stack: null },
      { site: `to 127.0.0.1:${upstreamPort}`, path: '/big', context: {}, stack: null },
      { site: `to 127.0.0.1:${upstreamPort}`, path: '/big/fetch', context: {}, stack: null },
      { site: 'upgrade /chat', path: '/chat', context: {}, stack: null },
    ],
  )
  t.notOk(sockets.some(({ owner }) => 'accesses' in owner))
})

t.test('auto asks only where it is nearly free', async (t) => {
  const { sockets } = await preloaded('auto', 'off')
  t.same(sockets[0]!.owner.context, usesAsyncContextFrame() ? { request: 'GET /tunnel/:id' } : {})
})

t.test(
  'auto asks everywhere when every stack is taken: who pays for all of them wants all names',
  async (t) => {
    const { sockets, upstreamPort } = await preloaded('auto', 'always')
    t.same(sockets[0]!.owner.context, { request: 'GET /tunnel/:id' })
    t.equal(sockets[0]!.owner.site, `GET /tunnel/:id → 127.0.0.1:${upstreamPort}`)
  },
)

t.test('without a request the site is the place in the code', async (t) => {
  const { sockets, upstreamPort } = await preloaded('off', 'always')
  t.equal(sockets[0]!.owner.site, `${placeOf('net.connect(upstreamPort')} → 127.0.0.1:${upstreamPort}`)
  t.equal(sockets[1]!.owner.site, `${placeOf('http.get(')} → 127.0.0.1:${upstreamPort}`)
})

t.test('where Node maps stacks itself they are the same', async (t) => {
  const { sockets } = await preloaded('off', 'always', ['--enable-source-maps'])
  t.equal(
    sockets[0]!.owner.stack![0],
    `${placeOf('net.connect(upstreamPort')} - const socket = net.connect(upstreamPort, '127.0.0.1')`,
  )
  t.notMatch(JSON.stringify(sockets), 'src/observe')
})
