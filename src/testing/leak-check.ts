// A test can't wait for a grace, and must not fail for a socket that is about to close. So the check counts looks at
// growing intervals, which do not depend on the speed of the machine:
// - stuck: a condition at the last three looks before the time is over
// - clean: three looks without a condition, or six while connections are open, because a FIN may be on its way
// - undecided: odd without a condition, as a socket that nobody reads; clean once it was idle for the settling time
import { SETTLE_MS } from '../judge/lifecycle.js'
import type { SnapshotQuery, SocketReport } from '../core/report.js'
import { SocketLeakGuardError } from '../base/errors.js'
import type { Guard } from '../guard/guard.js'
import { monotonicMs, setTimeout } from '../base/real-time.js'
import { installedGuard } from '../guard/registry.js'
import { borrowGuard } from './borrow-guard.js'
import type { ResolvedLeakCheckOptions } from './leak-check-options.js'
import { leaksFound } from './leaks-found.js'

const ENOUGH_LOOKS = 3
const ENOUGH_LOOKS_WHILE_OPEN = 6
const LONGEST_PAUSE_MS = 100

interface Sight {
  readonly bad: readonly SocketReport[]
  readonly isUndecided: boolean
  readonly isEmpty: boolean
}

export function startLeakCheck(
  options: ResolvedLeakCheckOptions,
  scope: 'all' | 'opened from now on',
): (frames: string) => Promise<void> {
  const { guard, giveBack } = borrowGuard(options.guard)
  const newestId = scope === 'all' ? 0 : idOfNewest(guard)
  const closedByGuard: SocketReport[] = []
  const unsubscribe = guard.subscribe(({ type, socket }) => {
    const isOver = type === 'dead' || type === 'reclaimed'
    if (isOver && socket.id > newestId) closedByGuard.push(socket)
  })

  function look(): Sight {
    if (installedGuard() !== guard) {
      throw new SocketLeakGuardError(
        'SLG_ERR_UNINSTALLED',
        'the guard was uninstalled before the check was over, so nobody knows what was left open',
      )
    }
    guard.sweep({ limit: 1 })
    const settleMs = Math.min(SETTLE_MS, guard.options.graceMs / 2)
    const counts = ({ id }: SocketReport): boolean => id > newestId
    const sockets = list(guard, { all: true, unsettled: true }).filter(counts).filter(isNotIgnored)
    return {
      bad: sockets.filter((socket) => isStuck(socket) || options.open === 'fail'),
      isUndecided: list(guard, { unsettled: true })
        .filter(counts)
        .some(({ condition, idleMs }) => condition === null && idleMs < settleMs),
      isEmpty: sockets.length === 0,
    }
  }

  function isNotIgnored(socket: SocketReport): boolean {
    return !options.ignore(socket)
  }

  async function wait(frames: string): Promise<void> {
    const deadlineMs = monotonicMs() + options.timeoutMs
    let timesSeen = new Map<number, number>()
    let cleanLooks = 0
    let lateLooks = 0
    let pauseMs = 1
    for (let looks = 1; ; looks += 1) {
      await sleep(pauseMs)
      const { bad, isUndecided, isEmpty } = look()
      const given = closedByGuard.filter(isNotIgnored)
      timesSeen = new Map(bad.map(({ id }) => [id, (timesSeen.get(id) ?? 0) + 1]))
      const isOver = looks >= ENOUGH_LOOKS && monotonicMs() >= deadlineMs
      if (given.length > 0 || isOver) {
        const found = [...given, ...bad.filter(({ id }) => timesSeen.get(id)! >= ENOUGH_LOOKS)]
        if (found.length > 0) throw leaksFound(found, guard, frames)
        if (bad.length === 0 || ++lateLooks >= ENOUGH_LOOKS) return
      }
      cleanLooks = bad.length > 0 || isUndecided ? 0 : cleanLooks + 1
      if (cleanLooks >= (isEmpty ? ENOUGH_LOOKS : ENOUGH_LOOKS_WHILE_OPEN)) return
      pauseMs = cleanLooks === 1 ? 1 : Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
  }

  return async function finishLeakCheck(frames) {
    try {
      await wait(frames)
    } finally {
      unsubscribe()
      giveBack()
    }
  }
}

function isStuck({ condition, verdict }: SocketReport): boolean {
  return condition !== null && verdict !== 'exempt' && verdict !== 'stalled'
}

function idOfNewest(guard: Guard): number {
  return list(guard, { all: true }).reduce((newest, { id }) => Math.max(newest, id), 0)
}

function list(guard: Guard, query: SnapshotQuery): SocketReport[] {
  const sockets: SocketReport[] = []
  for (let after: number | null = 0; after !== null;) {
    const page = guard.snapshot({ ...query, limit: 10_000, after })
    sockets.push(...page.sockets)
    after = page.nextAfter
  }
  return sockets
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
