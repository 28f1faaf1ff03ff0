/**
 * A host that is gone from one moment to the next, with all that it would still have answered: every condition, as server and as
 * client, after an upgrade and under TLS, at once. The guard's host lives on, though nobody there listens for errors.
 */
import t from 'tap'
import type { InstallOptions } from '../../src/index.js'
import type { Actor } from '../support/actor.js'
import type { Fate, GuardedHost } from '../support/guarded-host.js'
import { NetworkNamespace, skippedBecause } from '../support/network-namespace.js'
import { until } from '../support/until.js'
import type { VanishingHost } from '../support/vanishing-host.js'
import { KINDS, SCENES, type SceneName } from '../support/vanishing.js'

const HERE = '10.9.4.1'
const THERE = '10.9.4.2'
const MAC = '02:00:00:00:00:'
const PATIENCE_MS = 60_000

const OPTIONS: InstallOptions = {
  graceMs: 300,
  sweepMs: 50,
  log: false,
  kernel: 'ffi',
  keepAlive: { idleMs: 1000, intervalMs: 1000, count: 2 },
}

/** A wire between two namespaces. Neighbours are written down, so that who does not answer is not even missed by ARP. */
function plugIn(here: NetworkNamespace, there: NetworkNamespace): void {
  here.run(`ip link add wire address ${MAC}01 type veth peer name wire address ${MAC}02 netns ${there.pid}`)
  for (const [host, own, other, mac] of [
    [here, HERE, THERE, '02'],
    [there, THERE, HERE, '01'],
  ] as const) {
    host.run(`ip address add ${own}/24 dev wire
      ip link set wire up
      ip neighbour replace ${other} lladdr ${MAC}${mac} dev wire nud permanent`)
  }
}

type Judge = (fate: Fate) => boolean

const isDead: Judge = ({ isClosed, events }) => isClosed && events.at(-1) === 'dead'
/** Nobody has read what came, so it is kept. */
const isToldDead: Judge = ({ isClosed, verdict, condition, peer }) =>
  !isClosed && verdict === 'leaked' && condition === 'reset-unseen' && peer === 'gone'
const isLeakedStill: Judge = ({ isClosed, verdict, peer }) =>
  !isClosed && verdict === 'leaked' && peer !== 'alive'
const isLetBe: Judge = ({ isClosed, verdict, events }) =>
  !isClosed && verdict === 'none' && events.length === 0

const FATES: Readonly<Record<SceneName, Judge>> = {
  'eof-ignored': isDead,
  'eof-unread': isToldDead,
  'fin-unseen': isToldDead,
  'window-closed': isToldDead,
  // Node was told, and nobody there listens for an error.
  'fin-wait': isDead,
  // The kernel goes on sending for a quarter of an hour.
  'write-stalled': isLeakedStill,
  // Closed in good order before.
  'closed-unread': ({ isClosed, verdict, condition }) =>
    !isClosed && verdict === 'leaked' && condition === 'closed-unread',
  // Nothing asks for it.
  idle: isLetBe,
  'idle-probed': isDead,
}

async function untilAll(
  host: Actor<GuardedHost>,
  scenes: readonly SceneName[],
  what: string,
  judge: Judge,
): Promise<void> {
  let fates: Fate[] = []
  await until(
    async () => {
      fates = await host.ask('fates')
      return fates.length === KINDS.length * scenes.length && fates.every(judge)
    },
    what,
    PATIENCE_MS,
  ).catch((cause: unknown) => {
    const odd = fates.filter((fate) => !judge(fate)).map((fate) => JSON.stringify(fate))
    throw new Error([`${fates.length} played, not yet as expected:`, ...odd].join('\n'), { cause })
  })
}

t.test('every peer vanishes', { skip: skippedBecause }, async (t) => {
  const here = await NetworkNamespace.open(t)
  const there = await NetworkNamespace.open(t, here)
  plugIn(here, there)
  const peer = there.start<VanishingHost>('vanishing-host.js')
  const ports = await peer.ask('listen', THERE)

  async function meet(scenes: readonly SceneName[], options: InstallOptions): Promise<Actor<GuardedHost>> {
    const host = here.start<GuardedHost>('guarded-host.js')
    const own = await host.ask('listen', HERE, options)
    for (const scene of scenes) {
      for (const kind of KINDS) {
        if (kind === 'client' || kind === 'tls-client')
          await host.ask('visit', kind, scene, THERE, ports[kind])
        else await peer.ask('visit', kind, scene, HERE, own[kind])
      }
    }
    return host
  }

  const patient = await meet(SCENES, OPTIONS)
  const limited = await meet(['idle'], { ...OPTIONS, userTimeoutMs: 3000 })
  await peer.ask('begin')
  await untilAll(patient, SCENES, 'every scene is played', ({ scene, verdict }) =>
    scene.startsWith('idle') ? verdict === 'none' : verdict === 'leaked' || verdict === 'stalled',
  )
  there.run(`ip address del ${THERE}/24 dev wire`)
  await limited.ask('speak')
  await untilAll(patient, SCENES, 'every fate is sealed', (fate) => FATES[fate.scene](fate))
  await untilAll(limited, ['idle'], 'what is not acknowledged in time is dead', isDead)
})
