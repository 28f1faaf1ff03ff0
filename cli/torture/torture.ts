import { lookup } from 'node:dns/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatDuration } from '../../src/core/format.js'
import { makePrintable } from '../../src/report/printable.js'
import { isLoopbackAddress } from '../../src/server/address.js'
import { EXIT, Failure, urlOf, type Command, type Given } from '../command.js'
import { socketsOf, tcpSockets } from '../proc/tables.js'
import { paint, say, tell } from '../terminal.js'
import { Link, type Goal } from './link.js'
import { SCENES, Skip, type Scene } from './scenes.js'

export const torture: Command = {
  name: 'torture',
  operands: 'URL',
  summary: 'Plays a peer that misbehaves, and says what a server, in any language, leaks.',
  about: [
    `Opens ${SCENES.length} connections, one for each way to leave, and waits for --grace. A server that has sent no FIN and no\n` +
      'RST by then, and no byte for a second, holds on to its side. After a RST nothing comes back: that is judged by the\n' +
      "descriptors of the server's process, with --pid (Linux).",
  ],
  flags: {
    grace: { type: 'string', value: 'SECONDS', help: 'time that the server has to close (default 10)' },
    pid: { type: 'string', value: 'PID,...', help: "the server's processes" },
    only: { type: 'string', value: 'WORDS', help: 'those with these words in their name' },
    json: { type: 'boolean', help: 'print JSON' },
    'max-leaked': { type: 'string', value: 'N', help: 'exit 1 if more leak (default 0)' },
    'allow-remote': { type: 'boolean', help: 'a server that is yours, and not on this machine' },
  },
  least: 1,
  run,
}

type Verdict = 'closed' | 'leaked' | 'streams' | 'unknown' | 'skipped'

interface Outcome {
  readonly scene: string
  readonly verdict: Verdict
  readonly detail: string
}

async function run(given: Given): Promise<number> {
  const goal = await goalOf(given.operands[0] ?? '', given.has('allow-remote'))
  const graceMs = given.number('grace', 10, 0.1) * 1000
  const pids = (given.text('pid') ?? '').split(',').filter(Boolean).map(Number)
  if (pids.some((pid) => !(pid > 0))) throw new Failure('--pid must be a list of process ids', EXIT.usage)
  for (const pid of pids) socketsOf(pid)
  const most = given.number('max-leaked', 0)
  const only = given.text('only') ?? ''
  const scenes = SCENES.filter(({ name }) => name.includes(only))
  if (scenes.length === 0)
    throw new Failure(`no way to leave has ${JSON.stringify(only)} in its name`, EXIT.usage)
  const failure = await knock(goal)
  if (failure !== null) throw new Failure(`no server at ${goal.host}: ${failure}`)
  tell(
    `${scenes.length} ${scenes.length === 1 ? 'connection' : 'connections'} to ${goal.host}, judged after ${formatDuration(graceMs)}`,
  )
  const outcomes = await Promise.all(scenes.map((scene) => play(scene, goal, graceMs, pids)))
  const leaked = outcomes.filter(({ verdict }) => verdict === 'leaked').length
  const died = await knock(goal)
  if (given.has('json'))
    say(JSON.stringify({ url: given.operands[0], graceMs, leaked, died, outcomes }, null, 2))
  else say(render(outcomes, leaked))
  if (died !== null) {
    tell(
      paint(
        'red',
        `The server accepts no more connections (${died}), and its end closes all: find out by --only which of these ends it.`,
        process.stderr,
      ),
    )
  }
  return died !== null || leaked > most ? EXIT.found : EXIT.fine
}

/** @returns why no connection can be made, or `null` */
async function knock(goal: Goal): Promise<string | null> {
  try {
    ;(await Link.open(goal, 'plain')).destroy()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

async function goalOf(text: string, isRemoteAllowed: boolean): Promise<Goal> {
  const url = urlOf(text)
  if (url === null || !/^(?:https?|wss?):$/.test(url.protocol)) {
    throw new Failure(
      `an http:, https:, ws: or wss: URL was expected, got ${JSON.stringify(text)}`,
      EXIT.usage,
    )
  }
  const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const { address } = await lookup(hostname).catch((error: Error) => {
    throw new Failure(error.message)
  })
  if (!isRemoteAllowed && !isLoopbackAddress(address)) {
    throw new Failure(
      `${url.host} is not this machine: give --allow-remote if the server is yours`,
      EXIT.usage,
    )
  }
  const isTls = /^(?:https|wss):$/.test(url.protocol)
  return {
    isTls,
    address,
    port: Number(url.port) || (isTls ? 443 : 80),
    hostname,
    host: url.host,
    path: url.pathname + url.search,
  }
}

async function play(scene: Scene, goal: Goal, graceMs: number, pids: readonly number[]): Promise<Outcome> {
  let link: Link | null = null
  const outcome = (verdict: Verdict, detail: string): Outcome => ({ scene: scene.name, verdict, detail })
  try {
    link = await Link.open(goal, scene.protocol ?? 'http/1.1')
    await scene.prepare(link, goal)
    // The server shall have taken up what was sent.
    await sleep(300)
    const held = pids.flatMap((pid) => inodesOf(pid, link!.port))
    const hadEnded = link.closedMs !== null || (pids.length > 0 && hasFin(link.port, goal.port))
    const leftMs = performance.now()
    scene.leave(link)
    if (scene.isReset === true) {
      // It may die of it.
      if (held.length === 0) await sleep(graceMs)
      if (pids.length === 0) return outcome('unknown', 'after a RST only --pid tells')
      if (held.length === 0 && !hadEnded) return outcome('unknown', 'no process of --pid had accepted it')
      return (await staysHeld(held, graceMs))
        ? outcome('leaked', 'the process holds it')
        : outcome('closed', '')
    }
    await waitFor(link, scene, graceMs)
    if (link.closedMs !== null) {
      // After both FINs its process closes the descriptor.
      link.finish()
      if (await staysHeld(held, graceMs))
        return outcome('leaked', 'it closed its side, and the process holds the descriptor')
      return outcome('closed', `after ${formatDuration(Math.max(0, link.closedMs - leftMs))}`)
    }
    const idleMs = performance.now() - link.lastByteMs
    if (idleMs < 1000) return outcome('streams', 'it still sends, which a half-closed peer may read')
    return outcome('leaked', `neither FIN nor RST, silent for ${formatDuration(idleMs)}`)
  } catch (error) {
    const { message } = error as Error
    return outcome('skipped', error instanceof Skip ? message : `not played: ${message}`)
  } finally {
    link?.destroy()
  }
}

async function waitFor(link: Link, scene: Scene, graceMs: number): Promise<void> {
  const end = performance.now() + graceMs
  if (scene.isSlow === true) {
    await sleep(graceMs / 2)
    link.stream.resume()
  }
  while (link.closedMs === null && performance.now() < end) await sleep(Math.min(50, graceMs))
}

async function staysHeld(held: readonly { pid: number; inode: number }[], graceMs: number): Promise<boolean> {
  for (
    const end = performance.now() + graceMs;
    held.some(({ pid, inode }) => holds(pid, inode));
    await sleep(250)
  )
    if (performance.now() > end) return true
  return false
}

function holds(pid: number, inode: number): boolean {
  try {
    return [...socketsOf(pid).values()].includes(inode)
  } catch {
    return false
  }
}

/** The server has ended its side, also if we don't read. */
function hasFin(ourPort: number, itsPort: number): boolean {
  return [...tcpSockets(process.pid, { has: () => true })].some(
    ({ local, remote, kernelState }) =>
      local.port === ourPort && remote.port === itsPort && kernelState === 'CLOSE_WAIT',
  )
}

function inodesOf(pid: number, ourPort: number): { pid: number; inode: number }[] {
  try {
    const own = new Set(socketsOf(pid).values())
    return [...tcpSockets(pid, own)]
      .filter(({ remote }) => remote.port === ourPort)
      .map(({ inode }) => ({ pid, inode }))
  } catch {
    // It has ended.
    return []
  }
}

const STYLES = {
  closed: 'green',
  leaked: 'red',
  streams: 'yellow',
  unknown: 'yellow',
  skipped: 'gray',
} as const

function render(outcomes: readonly Outcome[], leaked: number): string {
  const width = Math.max(...outcomes.map(({ scene }) => scene.length))
  const lines = outcomes.map(({ scene, verdict, detail }) =>
    `${scene.padEnd(width)}  ${paint(STYLES[verdict], verdict.padEnd(7))}  ${makePrintable(detail, 100)}`.trimEnd(),
  )
  const played = outcomes.filter(({ verdict }) => verdict !== 'skipped').length
  return [...lines, '', `${leaked} of ${played} leaked.`].join('\n')
}
