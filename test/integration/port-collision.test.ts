/**
 * A client that comes back from the address and port of a connection that we leaked: what it costs, what the guard does
 * about it and what the report says. All of it on one host of the test's own, whose kernel forgets a FIN_WAIT2 within
 * a tenth of a second instead of a minute.
 */
import t, { type Test } from 'tap'
import type { InstallOptions } from '../../src/index.js'
import type { Actor } from '../support/actor.js'
import type { ForgetfulServer } from '../support/forgetful-server.js'
import { NetworkNamespace, skippedBecause } from '../support/network-namespace.js'
import type { ReturningClient } from '../support/returning-client.js'

const HOST = '127.0.0.1'
const NEIGHBOUR = '127.0.0.2'
const LOW_PORT = 40_000
const PORTS = 10
const ROUNDS = 20

/**
 * An orphan's FIN_WAIT2 lives for `tcp_fin_timeout`, but not for less than 3.5 retransmission timeouts
 * (net/ipv4/tcp_minisocks.c, `tcp_time_wait()`), each of them at least the route's `rto_min`.
 */
async function openHost(t: Test): Promise<NetworkNamespace> {
  const host = await NetworkNamespace.open(t)
  host.tune({ tcp_fin_timeout: 0, ip_local_port_range: `${LOW_PORT} ${LOW_PORT + PORTS - 1}` })
  host.run(`ip route change local ${HOST} dev lo table local src ${HOST} rto_min 5ms`)
  return host
}

interface Scene {
  readonly server: Actor<ForgetfulServer>
  readonly client: Actor<ReturningClient>
  readonly port: number
}

async function openScene(
  host: NetworkNamespace,
  port: number,
  options: InstallOptions | null,
): Promise<Scene> {
  const server = host.start<ForgetfulServer>('forgetful-server.js')
  const client = host.start<ReturningClient>('returning-client.js')
  await server.ask('listen', HOST, port, options)
  return { server, client, port }
}

/** A connection that the client has ended, its descriptor still open. */
async function halfClose({ server, client, port }: Scene, localPort: number, localAddress = HOST) {
  const count = await server.ask('accepted')
  const { error } = await client.ask('connect', { host: HOST, port, localAddress, localPort })
  if (error !== null) throw new Error(`connection ${count + 1} from ${localAddress}:${localPort}: ${error}`)
  await client.ask('end', localPort, port)
  await server.ask('untilEnded', count + 1)
}

/** A connection that the client's whole machine has forgotten, and the server has not. */
async function leak(scene: Scene, localPort: number, localAddress = HOST) {
  await halfClose(scene, localPort, localAddress)
  await scene.client.ask('leave', localPort, scene.port)
}

t.test('one port, used again and again', { skip: skippedBecause, jobs: 2 }, async (t) => {
  const host = await openHost(t)

  void t.test(`without the guard: ${ROUNDS} descriptors, one row`, { buffered: true }, async (t) => {
    const scene = await openScene(host, 3000, null)
    for (let round = 1; round <= ROUNDS; round += 1) {
      await leak(scene, LOW_PORT)
      t.equal(await scene.server.ask('held'), round, `round ${round}`)
    }
    t.same(await scene.server.ask('states', LOW_PORT), ['CLOSE_WAIT'])
    t.equal(await scene.server.ask('dead'), ROUNDS - 1, 'the others have no peer any more')
  })

  void t.test(
    'with the guard each return frees the descriptor of the one before',
    { buffered: true },
    async (t) => {
      const scene = await openScene(host, 3001, { sweepMs: 50 })
      for (let round = 1; round <= ROUNDS; round += 1) {
        await leak(scene, LOW_PORT)
        await scene.server.ask('untilAnnounced', 'dead', round - 1)
        t.equal(await scene.server.ask('held'), 1, `round ${round}`)
      }
      const dead = await scene.server.ask('untilAnnounced', 'dead', ROUNDS - 1)
      t.equal(dead.length, ROUNDS - 1)
      for (const event of dead) {
        t.same(event, { condition: 'reset-unseen', seenBy: 'oracle', verdict: 'dead' })
      }
      t.same(await scene.server.ask('states', LOW_PORT), ['CLOSE_WAIT'], 'the last one is only a suspect')
    },
  )
})

t.test("the peer's own kernel refuses while its FIN_WAIT2 lives", { skip: skippedBecause }, async (t) => {
  const host = await openHost(t)

  for (const [port, name, options] of [
    [3000, 'no guard', null],
    [3001, 'a guard that watches', { sweepMs: 50 }],
  ] as const) {
    t.test(`${name} can't help: the attempt never leaves the peer`, async (t) => {
      const scene = await openScene(host, port, options)
      await halfClose(scene, LOW_PORT)
      t.match(await scene.client.ask('connect', { host: HOST, port, localPort: LOW_PORT }), {
        error: 'EADDRNOTAVAIL',
      })
      t.same(await scene.client.ask('states', LOW_PORT, port), ['FIN_WAIT2'])
      t.same(await scene.server.ask('states', LOW_PORT), ['CLOSE_WAIT'])
      t.equal(await scene.server.ask('accepted'), 1)
      t.equal(await scene.server.ask('dead'), 0)
    })
  }

  t.test('a reset takes the FIN_WAIT2 away', async (t) => {
    const scene = await openScene(host, 3002, { graceMs: 200, action: 'reset' })
    await halfClose(scene, LOW_PORT)
    await scene.client.ask('untilClosed', LOW_PORT, scene.port)
    t.same(await scene.client.ask('states', LOW_PORT, scene.port), [])
    t.match(await scene.client.ask('connect', { host: HOST, port: scene.port, localPort: LOW_PORT }), {
      error: null,
    })
  })
})

t.test('the report counts the held ports of each address', { skip: skippedBecause }, async (t) => {
  const host = await openHost(t)
  const scene = await openScene(host, 3000, { sweepMs: 50, keepAlive: false })
  const { server, client, port: localPort } = scene
  for (let i = 0; i < PORTS; i += 1) await leak(scene, LOW_PORT + i)
  for (let i = 0; i < 3; i += 1) await leak(scene, LOW_PORT + i, NEIGHBOUR)
  await server.ask('untilAnnounced', 'suspect', PORTS + 3)
  const neighbour = { remote: NEIGHBOUR, localPort, heldPorts: 3 }
  t.same(await server.ask('ports'), [{ remote: HOST, localPort, heldPorts: PORTS }, neighbour])

  t.comment('a chance of 1 is a certainty: whichever port the kernel chooses meets a leaked connection')
  const { error } = await client.ask('connect', { host: HOST, port: localPort })
  t.equal(error, null)
  await server.ask('untilAnnounced', 'dead', 1)
  t.same(await server.ask('ports'), [{ remote: HOST, localPort, heldPorts: PORTS - 1 }, neighbour])

  await server.ask('reclaim', 'destroy')
  t.same(await server.ask('ports'), [], 'what is closed holds no port')
})
