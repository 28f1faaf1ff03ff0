/**
 * Clients that come back from the address and port of a connection that the server leaked. Each of the three client hosts is
 * a network namespace with the server of every remedy in it, and all of them are played at once. Needs root or user
 * namespaces, iproute2 and nftables.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { Actor } from '../../test/support/actor.js'
import { NetworkNamespace } from '../../test/support/network-namespace.js'
import { socketsOf } from './play.js'
import { ALL_REMEDIES } from './remedies.js'
import type { Journey, ReuseClient } from './reuse-client.js'
import { SCENES } from './scenes.js'
import { median, seconds, table } from './tables.js'

const PLAYED = ['bare', 'timeouts', 'keep-alive', 'on-end', 'report', 'end', 'destroy', 'reset']
const LEAKY = SCENES.find(({ name }) => name === 'TCP server that never answers the end')!
const FIRST_PORT = 10_000
const LAST_PORT = 10_999

interface ClientHost {
  /** For how long its kernel remembers a connection that it has ended and the server has not. */
  readonly finTimeoutSeconds: number
  readonly losesResets: boolean
  readonly ports: number
  readonly returns: number
  readonly restMs: number
}

/** As fast as it can be played: only a client whose port is free again can come back. */
const AGAIN_AND_AGAIN: ClientHost = {
  finTimeoutSeconds: 1,
  losesResets: false,
  ports: 20,
  returns: 50,
  restMs: 3000,
}
/** Once each: a return that fails takes 134 s, the SYN retries of Linux. */
const AFTER_40_S: ClientHost = {
  finTimeoutSeconds: 30,
  losesResets: true,
  ports: LAST_PORT - FIRST_PORT + 1,
  returns: 1,
  restMs: 40_000,
}
const AFTER_70_S: ClientHost = { ...AFTER_40_S, finTimeoutSeconds: 60, restMs: 70_000 }

interface Outcome {
  readonly remedy: string
  readonly held: number
  readonly secondSyns: number
  readonly times: readonly (number | null)[]
}

export async function playReuse(isAsked: (remedy: string) => boolean): Promise<string> {
  const remedies = PLAYED.filter(isAsked)
  const [again, after40, after70] = await Promise.all(
    [AGAIN_AND_AGAIN, AFTER_40_S, AFTER_70_S].map((host) => playHost(host, remedies)),
  )
  return `${descriptors(again!)}\n${failures(after40!, after70!)}`
}

async function playHost(host: ClientHost, remedies: readonly string[]): Promise<Outcome[]> {
  // It is gone with this process.
  const namespace = await NetworkNamespace.open({ teardown() {} })
  namespace.tune({ tcp_fin_timeout: host.finTimeoutSeconds })
  namespace.run(`nft add table ip bench
    nft add chain ip bench out '{ type filter hook output priority 0; }'
    nft add set ip bench syns '{ type inet_service; flags dynamic; counter; }'
    nft add rule ip bench out 'tcp flags & (syn | ack) == syn update @syns { tcp dport }'`)
  if (host.losesResets)
    namespace.run(`nft add rule ip bench out 'tcp sport ${FIRST_PORT}-${LAST_PORT} tcp flags rst drop'`)
  const client = new Actor<ReuseClient>(namespace.fork(join(import.meta.dirname, 'reuse-client.js')))
  return Promise.all(remedies.map((remedy) => playRemedy(namespace, client, host, remedy)))
}

async function playRemedy(
  namespace: NetworkNamespace,
  client: Actor<ReuseClient>,
  { ports, returns, restMs }: ClientHost,
  remedy: string,
): Promise<Outcome> {
  const server = namespace.fork(join(import.meta.dirname, 'host.js'), [LEAKY.name, remedy, 'default'])
  const [port] = (await once(server, 'message')) as [number]
  const before = socketsOf(server)
  const localPorts = Array.from({ length: ports }, (_, i) => FIRST_PORT + i)
  const times = await client.ask('comeBack', port, { localPorts, returns, restMs } satisfies Journey)
  const held = socketsOf(server) - before
  const secondSyns = synsTo(namespace, port) - ports - times.length
  const outcome = { remedy, held, secondSyns, times }
  console.log(`a client comes back after ${restMs / 1000} s | ${remedy}: ${say(outcome)}`)
  return outcome
}

function synsTo(namespace: NetworkNamespace, port: number): number {
  const listed = namespace.run('nft list set ip bench syns')
  return Number(new RegExp(`\\b${port} counter packets (\\d+)`).exec(listed)?.[1])
}

/** Longer than a connection takes that nothing is in the way of, on a busy machine. */
const LATE_MS = 500

function arrivals(outcome: Outcome): [atOnce: string, late: string, failed: string] {
  const took = outcome.times.filter((ms) => ms !== null)
  const late = took.filter((ms) => ms > LATE_MS)
  return [
    String(took.length - late.length),
    late.length === 0 ? '0' : `${late.length} (${seconds(median(late))})`,
    String(failed(outcome)),
  ]
}

function failed({ times }: Outcome): number {
  return times.filter((ms) => ms === null).length
}

function say(outcome: Outcome): string {
  const [atOnce, late, failed] = arrivals(outcome)
  return `${outcome.held} held, ${outcome.secondSyns} second SYNs, ${atOnce} at once, ${late} late, ${failed} failed`
}

function descriptors(again: readonly Outcome[]): string {
  return table(
    ['20 four-tuples, 1,000 returns', 'descriptors held', 'second SYNs', 'failed'],
    again.map((outcome) => [
      ALL_REMEDIES[outcome.remedy]!.title,
      String(outcome.held),
      String(outcome.secondSyns),
      String(failed(outcome)),
    ]),
  )
}

function failures(after40: readonly Outcome[], after70: readonly Outcome[]): string {
  const heads = ['40 s', '70 s'].flatMap((rest) => [`after ${rest}: at once`, 'late', 'failed'])
  return table(
    ['1,000 four-tuples, resets lost', ...heads],
    after40.map((outcome, i) => [
      ALL_REMEDIES[outcome.remedy]!.title,
      ...arrivals(outcome),
      ...arrivals(after70[i]!),
    ]),
  )
}
