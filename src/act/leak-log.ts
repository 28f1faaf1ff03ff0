/**
 * One line per site and interval, with a count: a thousand sockets of one route are one piece of news. When a site
 * has nothing leaked any more, that is told too.
 */
import type { GuardEvent } from '../core/report.js'
import type { LogFunction } from '../options/options.js'
import { messageOf, warnOnce } from '../warnings.js'

export interface LeakLog {
  hear(event: GuardEvent): void
  /** Tells what came too soon after the last line, once its time has come. To be called after each sweep. */
  tellRest(): void
}

interface SiteState {
  open: number
  unsaid: number
  saidAtMs: number
  lastDiagnosis: string
}

/**
 * @param write gets one line, without a line end
 * @param intervalMs the least time between two lines about one site
 */
export function createLeakLog(write: LogFunction, intervalMs: number, now: () => number): LeakLog {
  const sites = new Map<string, SiteState>()
  /** Under which site a socket was told: its route may be known better by the time it goes. */
  const toldAs = new Map<number, string>()

  function onLeaked({ socket }: GuardEvent): void {
    const { site } = socket.owner
    const state = sites.get(site) ?? { open: 0, unsaid: 0, saidAtMs: -Infinity, lastDiagnosis: '' }
    sites.set(site, state)
    toldAs.set(socket.id, site)
    state.open += 1
    state.unsaid += 1
    state.lastDiagnosis = socket.diagnosis
    tell(site, state)
  }

  function tell(site: string, state: SiteState): void {
    if (state.unsaid === 0 || now() - state.saidAtMs < intervalMs) return
    const many = state.unsaid === 1 ? '' : ` (${state.unsaid} since the last line, ${state.open} open)`
    say(`socket-leak-guard: leaked at ${site}${many}: ${state.lastDiagnosis}`)
    state.saidAtMs = now()
    state.unsaid = 0
  }

  function say(line: string): void {
    try {
      write(line)
    } catch (error) {
      warnOnce('SLG_WARN_LISTENER', `the log function threw: ${messageOf(error)}`)
    }
  }

  function onGone({ socket, type }: GuardEvent): void {
    const site = toldAs.get(socket.id)
    const state = site === undefined ? undefined : sites.get(site)
    if (site === undefined || state === undefined) return
    toldAs.delete(socket.id)
    state.open -= 1
    if (state.open > 0) return
    sites.delete(site)
    say(`socket-leak-guard: ${type} at ${site}: nothing leaked there any more`)
  }

  return {
    hear(event) {
      if (event.type === 'leaked') onLeaked(event)
      else if (event.type !== 'suspect') onGone(event)
    },
    tellRest() {
      for (const [site, state] of sites) tell(site, state)
    },
  }
}
