/**
 * Runs the scenarios with the guard preloaded, or with `adapters` also behind those, and prints what the guard says of the
 * sockets that leak. Names of scenarios as further arguments: only those.
 */
import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import type { Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { guardServer as guardExpress } from '../../adapters/express/index.js'
import { guardServer as guardFastify } from '../../adapters/fastify/index.js'
import { guardServer as guardHttp } from '../../adapters/http/index.js'
import { guardServer as guardKoa } from '../../adapters/koa/index.js'
import { guardServer as guardNet } from '../../adapters/net/index.js'
import { guardServer as guardWebSockets } from '../../adapters/ws/index.js'
import { installedGuard, type SocketReport } from '../../src/index.js'
import type { Direction } from '../../src/core/vocabulary.js'
import { SCENARIOS, type Scenario, type Suspect } from './scenarios.js'
import { isHttp, openStage, type AppName } from './stage.js'

/** The adapter of an application's framework, where it has one; else that of its server. */
const ADAPTERS: Partial<Record<AppName, (server: HttpServer) => unknown>> = {
  gateway: guardExpress,
  legacy: guardExpress,
  uploads: guardExpress,
  secureUploads: guardExpress,
  dashboard: guardExpress,
  pooled: guardExpress,
  queued: guardExpress,
}

const GUARDED_AT_START: ReadonlySet<AppName> = new Set(['fastify', 'koa'])

const [how, ...asked] = process.argv.slice(2)
const guard = installedGuard()!
const stage = await openStage(
  how === 'adapters' ? { onFastify: guardFastify, onKoa: (server, app) => guardKoa(server, { app }) } : {},
)
if (how === 'adapters') {
  for (const name of Object.keys(stage.apps) as AppName[]) {
    const server: Server = stage.apps[name]
    if (GUARDED_AT_START.has(name)) continue
    if (isHttp(server)) (ADAPTERS[name] ?? guardHttp)(server)
    else guardNet(server)
  }
  for (const server of stage.webSocketServers) guardWebSockets(server)
}

/** Far more than a scenario takes. */
const LONGEST_MS = 20_000

async function play(scenario: Scenario): Promise<Suspect> {
  const suspect = await Promise.race([scenario.run(stage), sleep(LONGEST_MS, null, { ref: false })])
  if (suspect === null) throw new Error(`${scenario.id} did not come to an end`)
  return suspect
}

const chosen = SCENARIOS.filter(({ id }) => asked.length === 0 || asked.includes(id))
const suspects = await Promise.all(chosen.map(play))

/** What the guard says of each; naming does not wait for a verdict, but for the leak to be there. */
let found: (SocketReport | null)[] = []
function look(): boolean {
  const { sockets } = guard.sweep({ all: true, unsettled: true, limit: 10_000 })
  found = chosen.map((scenario, index) => {
    const socket = sockets.find((entry) => isLeak(entry, scenario.leaks, suspects[index]!))
    return socket !== undefined && isStuck(socket, scenario) ? socket : null
  })
  return found.every((socket) => socket !== null)
}

function isLeak({ id, direction, remote }: SocketReport, leaks: Direction, suspect: Suspect): boolean {
  return 'id' in suspect ? id === suspect.id : direction === leaks && remote?.port === suspect.remotePort
}

/** What is open both ways and stalls has no condition before its grace is over. */
function isStuck({ condition, unreadBytes, unsentBytes }: SocketReport, { isOpen }: Scenario): boolean {
  return isOpen === true || condition !== null || unreadBytes + unsentBytes > 0
}

const deadline = performance.now() + LONGEST_MS
while (!look() && performance.now() < deadline) await sleep(100)
process.stdout.write(JSON.stringify(Object.fromEntries(chosen.map(({ id }, index) => [id, found[index]]))))
stage.peer.child.kill()
await once(stage.peer.child, 'exit')
process.exit()
