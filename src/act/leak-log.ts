// Logs at most one line of a kind per site and interval: a thousand sockets of one route are one piece of news.
import type { GuardEvent } from '../core/report.js'
import type { LogFunction } from '../options/options.js'
import { callShielded, warnOnce } from '../base/warnings.js'

export interface LeakLog {
  hear(event: GuardEvent): void
  hearParted(site: string, line: string): void
  hearClosing(site: string, line: string): void
  forget(id: number): void
  tellRest(): void
}

const NEWS = ['leaked', 'stalled', 'parted', 'closing'] as const

interface News {
  unsaid: number
  diagnosis: string
  saidAtMs: number
}

interface SiteState {
  readonly open: Set<number>
  readonly leaked: News
  readonly stalled: News
  readonly parted: News
  readonly closing: News
  readonly gone: Map<string, number>
  summedUpAtMs: number
}

export function createLeakLog(write: LogFunction, intervalMs: number, now: () => number): LeakLog {
  const sites = new Map<string, SiteState>()
  /** The site a socket was logged under: its route may be known better when it closes. */
  const toldAs = new Map<number, string>()

  function onLeaked({ socket }: GuardEvent): void {
    const { site } = socket.owner
    const state = stateOf(site)
    toldAs.set(socket.id, site)
    state.open.add(socket.id)
    hearNews('leaked', site, socket.diagnosis)
  }

  function hearNews(what: (typeof NEWS)[number], site: string, diagnosis: string): void {
    const state = stateOf(site)
    state[what].unsaid += 1
    state[what].diagnosis = diagnosis
    tell(site, state)
  }

  function stateOf(site: string): SiteState {
    const state = sites.get(site) ?? newState()
    sites.set(site, state)
    return state
  }

  function onGone(id: number, how: string): void {
    const site = toldAs.get(id)
    const state = site === undefined ? undefined : sites.get(site)
    if (site === undefined || state === undefined) return
    toldAs.delete(id)
    state.open.delete(id)
    state.gone.set(how, (state.gone.get(how) ?? 0) + 1)
    tell(site, state)
  }

  function tell(site: string, state: SiteState): void {
    const atMs = now()
    for (const what of NEWS) sayNews(what, site, state, atMs)
    if (isWorthASummary(state) && state.leaked.unsaid === 0 && atMs - state.summedUpAtMs >= intervalMs) {
      say(summary(site, state))
      state.summedUpAtMs = atMs
      state.gone.clear()
    }
    const isSaid = state.gone.size === 0 && NEWS.every((what) => state[what].unsaid === 0)
    const saidAtMs = Math.max(state.summedUpAtMs, ...NEWS.map((what) => state[what].saidAtMs))
    if (state.open.size === 0 && isSaid && atMs - saidAtMs >= intervalMs) sites.delete(site)
  }

  function sayNews(what: (typeof NEWS)[number], site: string, state: SiteState, atMs: number): void {
    const news = state[what]
    if (news.unsaid === 0 || atMs - news.saidAtMs < intervalMs) return
    const rest = what === 'leaked' ? `, ${state.open.size} open` : ''
    const many = news.unsaid === 1 ? '' : ` (${news.unsaid} since the last line${rest})`
    say(`${what} at ${site}${many}: ${news.diagnosis}`)
    news.saidAtMs = atMs
    news.unsaid = 0
  }

  function say(line: string): void {
    callShielded(
      () => write(`socket-leak-guard: ${line}`),
      (message) => warnOnce('SLG_WARN_LISTENER', `the log function threw: ${message}`),
    )
  }

  return {
    hear(event) {
      if (event.type === 'leaked') onLeaked(event)
      else if (event.type === 'stalled') hearNews('stalled', event.socket.owner.site, event.socket.diagnosis)
      else if (event.type !== 'suspect') onGone(event.socket.id, event.type)
    },
    hearParted: (site, line) => hearNews('parted', site, line),
    hearClosing: (site, line) => hearNews('closing', site, line),
    forget(id) {
      onGone(id, 'exempt')
    },
    tellRest() {
      for (const [site, state] of sites) tell(site, state)
    },
  }
}

function newState(): SiteState {
  return {
    open: new Set(),
    leaked: { unsaid: 0, diagnosis: '', saidAtMs: -Infinity },
    stalled: { unsaid: 0, diagnosis: '', saidAtMs: -Infinity },
    parted: { unsaid: 0, diagnosis: '', saidAtMs: -Infinity },
    closing: { unsaid: 0, diagnosis: '', saidAtMs: -Infinity },
    gone: new Map(),
    summedUpAtMs: -Infinity,
  }
}

function isWorthASummary({ open, gone }: SiteState): boolean {
  return gone.size > 0 && (open.size === 0 || gone.has('reclaimed') || gone.has('dead'))
}

function summary(site: string, { open, gone }: SiteState): string {
  const counts = [...gone].map(([how, count]) => (gone.size === 1 && count === 1 ? how : `${count} ${how}`))
  const left = open.size === 0 ? 'nothing leaked there any more' : `${open.size} open`
  return `${counts.join(', ')} at ${site}: ${left}`
}
