import type { Guard, SocketReport } from '../../src/index.js'
import { until } from './until.js'

/** The entry of the one accepted socket that the claim is true for, as soon as there is one. */
export async function entryWhere(
  guard: Guard,
  claim: (entry: SocketReport) => boolean,
  what: string,
): Promise<SocketReport> {
  let found: SocketReport | undefined
  await until(() => {
    found = inbound(guard).find(claim)
    return found !== undefined
  }, what)
  return found!
}

/** Sweeps for so long: for proofs that nothing happens meanwhile. */
export async function sweepFor(guard: Guard, ms: number): Promise<void> {
  const startedMs = performance.now()
  await until(() => {
    guard.sweep()
    return performance.now() - startedMs >= ms
  }, `${ms} ms are over`)
}

/** The accepted sockets, healthy ones included; those of clients in this process are not asked about. */
export function inbound(guard: Guard): SocketReport[] {
  return guard.sweep({ all: true }).sockets.filter(({ direction }) => direction === 'inbound')
}
