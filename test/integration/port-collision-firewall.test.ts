/**
 * The same return across a cable that loses the client's RST segments, as a stateful firewall does: now the challenge
 * ACK (RFC 5961, section 4.2) is answered in vain, and the leaked connection locks the client out.
 *
 * Two hosts of the test's own, with a third between them that is the cable. Every scene has a server of its own and all
 * of them run at once: what takes long here is the kernel's timers.
 */
import t, { type Test } from 'tap'
import type { InstallOptions } from '../../src/index.js'
import type { Actor } from '../support/actor.js'
import type { ForgetfulServer } from '../support/forgetful-server.js'
import type { FrameBridge } from '../support/frame-bridge.js'
import { NetworkNamespace, skippedBecause } from '../support/network-namespace.js'
import type { ReturningClient } from '../support/returning-client.js'

const CLIENT = '10.9.3.1'
const SERVER = '10.9.3.2'
const CLIENT_PORT = 40_000
const LOST = 'client RST lost'

interface Lab {
  readonly bridge: Actor<FrameBridge>
  readonly client: Actor<ReturningClient>
  readonly serverHost: NetworkNamespace
}

interface Scene extends Lab {
  readonly server: Actor<ForgetfulServer>
  readonly port: number
}

/** The client gives a SYN up after about ten seconds, and takes a port in TIME_WAIT again after one. */
async function openLab(t: Test): Promise<Lab> {
  const cable = await NetworkNamespace.open(t)
  const clientHost = await NetworkNamespace.open(t, cable)
  const serverHost = await NetworkNamespace.open(t, cable)
  plugIn(cable, 'client-side', clientHost, CLIENT)
  plugIn(cable, 'server-side', serverHost, SERVER)
  clientHost.tune({ tcp_fin_timeout: 0, tcp_syn_retries: 2, tcp_tw_reuse: 1 })
  const bridge = cable.start<FrameBridge>('frame-bridge.js')
  await bridge.ask('join', 'client-side', 'server-side')
  return { bridge, client: clientHost.start<ReturningClient>('returning-client.js'), serverHost }
}

function plugIn(cable: NetworkNamespace, side: string, host: NetworkNamespace, address: string): void {
  cable.run(`ip link add ${side} type veth peer name cable netns ${host.pid}
    ip link set ${side} up`)
  host.run(`ip address add ${address}/24 dev cable
    ip link set cable up`)
}

/** A connection that the client has ended, to a server that no RST of the client's reaches. */
async function halfClose(lab: Lab, port: number, options: InstallOptions | null): Promise<Scene> {
  const server = lab.serverHost.start<ForgetfulServer>('forgetful-server.js')
  await server.ask('listen', SERVER, port, options)
  await lab.bridge.ask('loseResetsTo', port)
  const { error } = await lab.client.ask('connect', { host: SERVER, port, localPort: CLIENT_PORT })
  if (error !== null) throw new Error(`the first connection failed: ${error}`)
  await lab.client.ask('end', CLIENT_PORT, port)
  await server.ask('untilEnded', 1)
  return { ...lab, server, port }
}

/** A connection that the client's whole machine has forgotten, and the server has not. */
async function leak(lab: Lab, port: number, options: InstallOptions | null): Promise<Scene> {
  const scene = await halfClose(lab, port, options)
  await lab.client.ask('leave', CLIENT_PORT, port)
  return scene
}

function comeBack({ client, port }: Scene) {
  return client.ask('comeBack', { host: SERVER, port, localPort: CLIENT_PORT })
}

t.test('a client whose RST is lost comes back', { skip: skippedBecause, jobs: 7 }, async (t) => {
  const lab = await openLab(t)

  void t.test('without the guard it is locked out', { buffered: true }, async (t) => {
    const scene = await leak(lab, 3000, null)
    t.match(await comeBack(scene), { error: 'ETIMEDOUT' })
    const seen = await lab.bridge.ask('seen', scene.port)
    const sinceItLeft = seen.slice(seen.indexOf('client FIN'))
    t.ok(sinceItLeft.includes('client SYN'))
    t.ok(sinceItLeft.includes(LOST), 'it answered the challenge')
    t.notOk(sinceItLeft.includes('server SYN'))
    t.same(await scene.server.ask('states', CLIENT_PORT), ['CLOSE_WAIT'])
    t.equal(await scene.server.ask('accepted'), 1)
  })

  for (const [port, action] of [
    [3001, 'end'],
    [3002, 'destroy'],
    [3003, 'reset'],
  ] as const) {
    void t.test(
      `action '${action}' within the peer's FIN_WAIT2 lets it in`,
      { buffered: true },
      async (t) => {
        const scene = await halfClose(lab, port, { graceMs: 200, action })
        await lab.client.ask('untilClosed', CLIENT_PORT, port)
        await scene.server.ask('untilAnnounced', 'reclaimed', 1)
        await scene.server.ask('untilForgotten', CLIENT_PORT)
        t.match(await comeBack(scene), { error: null })
        await scene.server.ask('untilAccepted', 2)
        t.notOk((await lab.bridge.ask('seen', port)).includes(LOST), 'nothing was in its way')
      },
    )
  }

  void t.test('keep-alive lets it in: a peer that does not answer is dead', { buffered: true }, async (t) => {
    const keepAlive = { idleMs: 1000, intervalMs: 1000, count: 2 }
    const scene = await leak(lab, 3004, { sweepMs: 50, keepAlive })
    t.same(await scene.server.ask('untilAnnounced', 'dead', 1), [
      { condition: 'reset-unseen', seenBy: 'oracle', verdict: 'dead' },
    ])
    t.match(await comeBack(scene), { error: null })
    await scene.server.ask('untilAccepted', 2)
  })

  void t.test(
    'destroy is too late once it is trying: LAST_ACK is in its way',
    { buffered: true },
    async (t) => {
      const scene = await leak(lab, 3005, {})
      const outcome = comeBack(scene)
      await lab.bridge.ask('untilLost', scene.port, 1)
      await scene.server.ask('reclaim', 'destroy')
      t.match(await outcome, { error: 'ETIMEDOUT' })
      t.same(await scene.server.ask('states', CLIENT_PORT), ['LAST_ACK'])
      t.equal(await scene.server.ask('held'), 0, 'not even a descriptor is left to reset it by')
    },
  )

  void t.test('reset is not', { buffered: true }, async (t) => {
    const scene = await leak(lab, 3006, {})
    const outcome = comeBack(scene)
    await lab.bridge.ask('untilLost', scene.port, 1)
    await scene.server.ask('reclaim', 'reset')
    t.match(await outcome, { error: null })
    await scene.server.ask('untilAccepted', 2)
  })
})
