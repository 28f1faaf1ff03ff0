/**
 * At most one line that tells leaks and one that sums up what became of them, for each site and interval: a thousand sockets of
 * one route are one piece of news, and so are a thousand that were closed.
 */
import type { GuardEvent } from '../core/report.js'
import type { LogFunction } from '../options/options.js'
import { messageOf, warnOnce } from '../base/warnings.js'

export interface LeakLog {
  hear(event: GuardEvent): void
  /** No event will tell of this socket any more: it was declared exempt, or handed to another process. */
  forget(id: number): void
  /** Tells what came too soon after the last line, once its time has come. To be called after each sweep. */
  tellRest(): void
}

interface SiteState {
  /** Leaked and still there. */
  readonly open: Set<number>
  unsaid: number
  diagnosis: string
  saidAtMs: number
  /** What became of them since the last summary. */
  readonly gone: Map<string, number>
  summedUpAtMs: number
}

/**
 * @param write gets one line, without a line end
 * @param intervalMs the least time between two lines of a kind about one site
 */
export function createLeakLog(write: LogFunction, intervalMs: number, now: () => number): LeakLog {
  const sites = new Map<string, SiteState>()
  /** Under which site a socket was told: its route may be known better by the time it goes. */
  const toldAs = new Map<number, string>()

  function onLeaked({ socket }: GuardEvent): void {
    const { site } = socket.owner
    const state = sites.get(site) ?? newState()
    sites.set(site, state)
    toldAs.set(socket.id, site)
    state.open.add(socket.id)
    state.unsaid += 1
    state.diagnosis = socket.diagnosis
    tell(site, state)
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
    if (state.unsaid > 0 && atMs - state.saidAtMs >= intervalMs) {
      const many = state.unsaid === 1 ? '' : ` (${state.unsaid} since the last line, ${state.open.size} open)`
      say(`leaked at ${site}${many}: ${state.diagnosis}`)
      state.saidAtMs = atMs
      state.unsaid = 0
    }
    if (isWorthASummary(state) && state.unsaid === 0 && atMs - state.summedUpAtMs >= intervalMs) {
      say(summary(site, state))
      state.summedUpAtMs = atMs
      state.gone.clear()
    }
    const isQuiet = atMs - Math.max(state.saidAtMs, state.summedUpAtMs) >= intervalMs
    if (state.open.size === 0 && state.unsaid === 0 && state.gone.size === 0 && isQuiet) sites.delete(site)
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
    unsaid: 0,
    diagnosis: '',
    saidAtMs: -Infinity,
    gone: new Map(),
    summedUpAtMs: -Infinity,
  }
}

/** That all is over, or that the guard closes what goes on leaking. */
function isWorthASummary({ open, gone }: SiteState): boolean {
  return gone.size > 0 && (open.size === 0 || gone.has('reclaimed') || gone.has('dead'))
}

function summary(site: string, { open, gone }: SiteState): string {
  const counts = [...gone].map(([how, count]) => (gone.size === 1 && count === 1 ? how : `${count} ${how}`))
  const left = open.size === 0 ? 'nothing leaked there any more' : `${open.size} open`
  return `${counts.join(', ')} at ${site}: ${left}`
}
