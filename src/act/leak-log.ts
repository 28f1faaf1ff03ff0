// Logs per site and interval at most one line about leaks, one about stalls and one about how leaks ended,
// because a thousand sockets of one route are one piece of news.
import type { GuardEvent } from '../core/report.js'
import type { LogFunction } from '../options/options.js'
import { messageOf, warnOnce } from '../base/warnings.js'

export interface LeakLog {
  hear(event: GuardEvent): void
  /** The socket was exempted or handed to another process. */
  forget(id: number): void
  /** Writes the lines that came too soon after the previous one. Call after each sweep. */
  tellRest(): void
}

interface News {
  unsaid: number
  diagnosis: string
  saidAtMs: number
}

interface SiteState {
  readonly open: Set<number>
  readonly leaked: News
  readonly stalled: News
  readonly gone: Map<string, number>
  summedUpAtMs: number
}

/** `write` gets one line without a line end; `intervalMs` lies between two lines of a kind about one site. */
export function createLeakLog(write: LogFunction, intervalMs: number, now: () => number): LeakLog {
  const sites = new Map<string, SiteState>()
  /** The site a socket was logged under: its route may be known better when it closes. */
  const toldAs = new Map<number, string>()

  function onLeaked({ socket }: GuardEvent): void {
    const { site } = socket.owner
    const state = stateOf(site)
    toldAs.set(socket.id, site)
    state.open.add(socket.id)
    state.leaked.unsaid += 1
    state.leaked.diagnosis = socket.diagnosis
    tell(site, state)
  }

  function onStalled({ socket: { owner, diagnosis } }: GuardEvent): void {
    const state = stateOf(owner.site)
    state.stalled.unsaid += 1
    state.stalled.diagnosis = diagnosis
    tell(owner.site, state)
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
    const { leaked, stalled } = state
    sayNews('leaked', site, leaked, atMs, `, ${state.open.size} open`)
    sayNews('stalled', site, stalled, atMs, '')
    if (isWorthASummary(state) && leaked.unsaid === 0 && atMs - state.summedUpAtMs >= intervalMs) {
      say(summary(site, state))
      state.summedUpAtMs = atMs
      state.gone.clear()
    }
    const isSaid = leaked.unsaid + stalled.unsaid + state.gone.size === 0
    const saidAtMs = Math.max(leaked.saidAtMs, stalled.saidAtMs, state.summedUpAtMs)
    if (state.open.size === 0 && isSaid && atMs - saidAtMs >= intervalMs) sites.delete(site)
  }

  function sayNews(what: string, site: string, news: News, atMs: number, rest: string): void {
    if (news.unsaid === 0 || atMs - news.saidAtMs < intervalMs) return
    const many = news.unsaid === 1 ? '' : ` (${news.unsaid} since the last line${rest})`
    say(`${what} at ${site}${many}: ${news.diagnosis}`)
    news.saidAtMs = atMs
    news.unsaid = 0
  }

  function say(line: string): void {
    try {
      write(`socket-leak-guard: ${line}`)
    } catch (error) {
      warnOnce('SLG_WARN_LISTENER', `the log function threw: ${messageOf(error)}`)
    }
  }

  return {
    hear(event) {
      if (event.type === 'leaked') onLeaked(event)
      else if (event.type === 'stalled') onStalled(event)
      else if (event.type !== 'suspect') onGone(event.socket.id, event.type)
    },
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
