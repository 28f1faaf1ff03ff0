import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ACTIONS, type Action } from '../../src/core/vocabulary.js'
import type { Report, SocketReport } from '../../src/core/report.js'
import { renderJson } from '../../src/report/json.js'
import { renderText } from '../../src/report/text.js'
import { isSupportedNode, SUPPORTED_NODE } from '../../src/base/node-version.js'
import { EXIT, Failure, type Command, type Given } from '../command.js'
import { PRELOAD } from '../preload.js'
import { commandOf, pidOf } from '../proc/process.js'
import { listenersOf, type Address } from '../proc/tables.js'
import { ask, canAsk, say, tell } from '../terminal.js'
import { depart, enter, locate, look, reclaim, settle } from './guest.js'
import { findInspector, Inspector } from './inspector.js'
import { checkSignal, checkTarget, inspectorPortOf, isPortTaken } from './target.js'

const PATIENCE_MS = 60_000
const OPENING_MS = 4000
const CLOSING_MS = 2000
const MOST_SITES = 10
/** Sockets that are described in one turn of the event loop. */
const PAGE = 200
/** To find a socket of each site. */
const MOST_PAGES = 20
const RECLAIM_MS = 15_000

export const attach: Command = {
  name: 'attach',
  operands: 'PID',
  summary: 'Puts the guard into a running Node process, and says what leaks and which functions hold it.',
  about: [
    'Opens the inspector of the process (SIGUSR1), loads the guard into it, waits for --grace, prints the report,\n' +
      'takes the guard out and closes the inspector. Its sockets stay as they are unless --reclaim says otherwise.\n' +
      'Linux alone; elsewhere start the process with --inspect, and give --inspector.',
  ],
  flags: {
    yes: { type: 'boolean', short: 'y', help: 'do not ask' },
    grace: { type: 'string', value: 'SECONDS', help: 'without a byte for so long, it leaks (default 2)' },
    reclaim: { type: 'string', value: 'ACTION', help: 'end, destroy or reset what leaks' },
    'leave-endpoint': {
      type: 'string',
      value: 'PORT',
      help: 'leave the guard there, with a report on 127.0.0.1:PORT',
    },
    inspector: {
      type: 'string',
      value: 'HOST:PORT',
      help: 'an inspector that is open; the PID is not needed',
    },
    json: { type: 'boolean', help: 'print the report as JSON' },
    'max-leaked': { type: 'string', value: 'N', help: 'exit 1 if more leak' },
  },
  least: 0,
  most: Infinity,
  run,
}

interface Plan {
  readonly graceMs: number
  readonly remedy: Exclude<Action, 'report'> | null
  readonly port: number | null
  readonly isJson: boolean
  readonly mostLeaked: number
}

async function run(given: Given): Promise<number> {
  const plan = readPlan(given)
  const door = await chooseDoor(given)
  const steps = describe(door, plan)
  tell(`${door.name}\n${steps.map((step) => `- ${step}`).join('\n')}`)
  if (!given.has('yes')) {
    if (!canAsk()) throw new Failure('nobody can be asked here: give --yes', EXIT.usage)
    if (!(await ask('Go on?'))) return EXIT.failed
  }
  const url = door.url ?? (await openInspector(door.pid))
  const inspector = await Inspector.connect(url)
  const isInspectorOurs = door.url === null
  try {
    return await visit(inspector, plan, isInspectorOurs)
  } finally {
    inspector.close()
  }
}

function readPlan(given: Given): Plan {
  const remedy = given.text('reclaim') ?? null
  if (remedy === 'report' || (remedy !== null && !(ACTIONS as readonly string[]).includes(remedy))) {
    throw new Failure(`--reclaim must be end, destroy or reset, got ${JSON.stringify(remedy)}`, EXIT.usage)
  }
  const port = given.text('leave-endpoint') === undefined ? null : given.number('leave-endpoint', 0)
  return {
    graceMs: given.number('grace', 2, 0.1) * 1000,
    remedy: remedy as Plan['remedy'],
    port,
    isJson: given.has('json'),
    mostLeaked: given.number('max-leaked', Infinity),
  }
}

interface Door {
  readonly name: string
  readonly pid: number
  /** Of an inspector that is open. */
  readonly url: string | null
}

async function chooseDoor(given: Given): Promise<Door> {
  if (!existsSync(PRELOAD)) throw new Failure(`${PRELOAD} is missing`)
  const place = given.text('inspector')
  if (place !== undefined) {
    const [, address = '127.0.0.1', port] = /^(?:(.+):)?(\d+)$/.exec(place) ?? []
    const url = await findInspector({ address, port: Number(port) })
    if (url === null) throw new Failure(`there is no inspector of Node at ${place}`)
    return { name: `The process at ${place}:`, pid: 0, url }
  }
  const pid = pidOf(given)
  if (process.platform !== 'linux') {
    throw new Failure('only on Linux can be checked that SIGUSR1 does not end the process: give --inspector')
  }
  if (pid === process.pid) throw new Failure('this is the process itself')
  checkTarget(pid, PRELOAD)
  const wanted = inspectorPortOf(pid)
  const open = listenersOf(pid).find(({ port }) => port === wanted)
  const url = open === undefined ? null : await findInspector(reachable(open))
  if (url === null) checkSignal(pid)
  return { name: `Process ${pid}, ${commandOf(pid)}:`, pid, url }
}

function describe({ url }: Door, { graceMs, remedy, port }: Plan): string[] {
  return [
    url === null
      ? 'its inspector is opened on 127.0.0.1, where for some seconds each local user can run code in it; it says so on its stderr'
      : 'its inspector is open; it stays open',
    `the guard is loaded (3 to 9 MB; its event loop stands still for 20 to 60 ms, with thousands of sockets for up to a second), and looks for ${graceMs / 1000} s`,
    `its event loop stands still for 0.1 s for each leaking site, ${MOST_SITES} sites at most, to find the code`,
    remedy === null ? 'no socket is touched' : `sockets that leak are closed: ${remedy}`,
    port === null
      ? 'the guard is taken out again'
      : `the guard stays, as the preload would be, with a report on 127.0.0.1:${port}`,
  ]
}

async function openInspector(pid: number): Promise<string> {
  const before = new Set(listenersOf(pid).map(({ inode }) => inode))
  const port = inspectorPortOf(pid)
  // The process that was visited before may be closing its inspector.
  for (
    const end = performance.now() + CLOSING_MS;
    port !== 0 && (await isPortTaken(port));
    await sleep(100)
  ) {
    if (performance.now() < end) continue
    throw new Failure(
      `port ${port}, where process ${pid} would open its inspector, is in use by another process`,
    )
  }
  checkSignal(pid)
  process.kill(pid, 'SIGUSR1')
  for (const end = performance.now() + OPENING_MS; performance.now() < end; await sleep(50)) {
    for (const listener of listenersOf(pid)) {
      if (before.has(listener.inode)) continue
      const url = await findInspector(reachable(listener))
      if (url !== null) return url
    }
  }
  throw new Failure(
    `process ${pid} got SIGUSR1 and opened no inspector: the application handles the signal itself, ` +
      'its event loop is blocked, or its permissions forbid it',
  )
}

function reachable({ address, port }: Address): Address {
  return { address: address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address, port }
}

async function visit(inspector: Inspector, plan: Plan, isInspectorOurs: boolean): Promise<number> {
  const version = JSON.parse(await inspector.value('process.version')) as string
  if (!isSupportedNode(version)) {
    if (isInspectorOurs) await inspector.value('setTimeout(require("node:inspector").close, 250) && 0')
    throw new Failure(`the process runs Node ${version}, and the guard needs ${SUPPORTED_NODE}`)
  }
  const interruption = new AbortController()
  const signal = AbortSignal.any([interruption.signal, inspector.ended])
  const onSignal = (): void => interruption.abort(new Failure('interrupted', EXIT.interrupted))
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  let keepsGuard = false
  try {
    const { isGuarded, graceMs, refusal } = await inspector.call(enter, {
      file: PRELOAD,
      env: environmentFor(plan),
      isInspectorOurs,
      patienceMs: PATIENCE_MS + plan.graceMs,
    })
    if (refusal !== null) throw new Failure(`the guard stays out of the process: ${refusal}`)
    if (isGuarded) tell('A guard is there already: it is asked, and stays.')
    // Two looks must agree.
    await sleep(isGuarded ? 0 : graceMs * 1.25 + 500, null, { signal })
    let first = await inspector.call(look, { sweeps: true, limit: PAGE })
    if (!isGuarded && first.totals.suspect > 0) {
      // They are younger, or a busy process was late to sweep.
      await sleep(graceMs, null, { signal })
      first = await inspector.call(look, { sweeps: true, limit: PAGE })
    }
    const found = await findCode(inspector, first, signal)
    const report = isGuarded ? found : asVisitor(found)
    say((plan.isJson ? renderJson(report) : renderText(withOneOfEachSite(report))).trimEnd())
    if (plan.remedy !== null) await close(inspector, report, plan.remedy, signal)
    if (plan.port !== null && !isGuarded) {
      const url = await inspector.call(settle, { report: `127.0.0.1:${plan.port}` })
      keepsGuard = true
      tell(`The report is at ${url}`)
    }
    return report.totals.leaked > plan.mostLeaked ? EXIT.found : EXIT.fine
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    await inspector.call(depart, keepsGuard).catch(() => {
      if (!inspector.ended.aborted)
        tell('The process did not answer the farewell; the guard leaves it within two minutes.')
    })
  }
}

/** Without our connection to the inspector. */
function asVisitor(report: Report): Report {
  const { orphans } = report
  const { ESTABLISHED: open = 0, ...states } = orphans?.states ?? {}
  if (orphans === null || open === 0) return report
  if (open > 1) Object.assign(states, { ESTABLISHED: open - 1 })
  return { ...report, orphans: { ...orphans, tcp: orphans.tcp - 1, states } }
}

function withOneOfEachSite(report: Report): Report {
  const ids = new Set(report.sites.map(({ site }) => exampleOf(report, site)?.id))
  return { ...report, sockets: report.sockets.filter(({ id }) => ids.has(id)), nextAfter: null }
}

function exampleOf({ sockets }: Report, site: string): SocketReport | undefined {
  return sockets.find(({ owner }) => owner.site === site)
}

/** A visit closes nothing and sends nothing by itself. */
function environmentFor({ graceMs }: Plan): Record<string, string> {
  const options = {
    GRACE_MS: graceMs,
    SWEEP_MS: Math.max(100, graceMs / 4),
    RECLAIM_DEAD: 'off',
    KEEP_ALIVE: 'off',
    CONTEXT: 'off',
  }
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [`SOCKET_LEAK_GUARD_${name}`, String(value)]),
  )
}

async function findCode(inspector: Inspector, first: Report, signal: AbortSignal): Promise<Report> {
  let report = first
  const sites = first.sites.slice(0, MOST_SITES).map(({ site }) => site)
  const isSeen = (site: string): boolean => exampleOf(report, site) !== undefined
  for (let pages = 1; pages < MOST_PAGES && report.nextAfter !== null && !sites.every(isSeen); pages += 1) {
    signal.throwIfAborted()
    const page = await inspector.call(look, { limit: PAGE, after: report.nextAfter })
    report = { ...report, sockets: [...report.sockets, ...page.sockets], nextAfter: page.nextAfter }
  }
  for (const site of sites) {
    signal.throwIfAborted()
    const socket = exampleOf(report, site)
    if (socket !== undefined) await inspector.call(locate, socket.id)
  }
  const { code } = await inspector.call(look, { limit: 0 })
  return { ...report, code }
}

async function close(
  inspector: Inspector,
  before: Report,
  action: NonNullable<Plan['remedy']>,
  signal: AbortSignal,
): Promise<void> {
  const ids: number[] = []
  for (let after: number | null = 0; after !== null;) {
    signal.throwIfAborted()
    const page: Report = await inspector.call(look, { limit: 1000, after })
    ids.push(...page.sockets.filter(({ verdict }) => verdict === 'leaked').map(({ id }) => id))
    after = page.nextAfter
  }
  let begun = 0
  for (let at = 0; at < ids.length; at += PAGE) {
    signal.throwIfAborted()
    begun += await inspector.call(reclaim, { ids: ids.slice(at, at + PAGE), action })
  }
  let closed = 0
  for (const end = performance.now() + RECLAIM_MS; closed < begun && performance.now() < end;) {
    await sleep(250, null, { signal })
    const { totals } = await inspector.call(look, { limit: 0 })
    closed = totals.reclaimed - before.totals.reclaimed
  }
  tell(`${closed} of ${begun} leaked sockets closed (${action}).`)
}
