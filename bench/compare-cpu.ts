/**
 * CPU time of a server process per exchange, with the guard and without.
 *
 * One round starts three processes: bare, guarded, and bare again. They are driven in turns, burst by burst, so that
 * whatever else the machine does falls on all three alike. Each round gives two ratios: guarded to bare, and bare to
 * bare. The second is the noise of the first: what the method finds where there is nothing to find.
 */
import { openLoad, type Load } from './load.js'
import { startServer, type MeasuredServer } from './measured-server.js'
import { spreadOf, type Spread } from './statistics.js'
import type { Workload } from './workloads.js'

const BURSTS = 20

export interface CpuComparison {
  readonly workload: Workload
  readonly bareMicros: number
  readonly guarded: Spread
  readonly control: Spread
}

interface Contestant {
  readonly server: MeasuredServer
  readonly load: Load
}

export async function compareCpu(
  workload: Workload,
  { rounds, share }: { readonly rounds: number; readonly share: number },
): Promise<CpuComparison> {
  const bareMicros: number[] = []
  const guarded: number[] = []
  const control: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const [bare = NaN, guard = NaN, twin = NaN] = await runRound(workload, share)
    bareMicros.push(bare)
    guarded.push(guard / bare)
    control.push(twin / bare)
  }
  return {
    workload,
    bareMicros: spreadOf(bareMicros).median,
    guarded: spreadOf(guarded),
    control: spreadOf(control),
  }
}

async function runRound(workload: Workload, share: number): Promise<number[]> {
  const contestants = await Promise.all([false, true, false].map((guarded) => enter(workload, guarded)))
  try {
    const perBurst = Math.ceil((workload.exchanges * share) / BURSTS)
    await takeTurns(contestants, BURSTS, Math.ceil((workload.warmUp * share) / BURSTS))
    const before = await cpuMicrosOf(contestants)
    await takeTurns(contestants, BURSTS, perBurst)
    const after = await cpuMicrosOf(contestants)
    return after.map((micros, i) => (micros - (before[i] ?? NaN)) / (BURSTS * perBurst))
  } finally {
    for (const { load } of contestants) load.close()
    await Promise.all(contestants.map(({ server }) => server.stop()))
  }
}

async function enter(workload: Workload, guarded: boolean): Promise<Contestant> {
  const server = await startServer(workload.server, { guarded })
  return { server, load: await openLoad(workload, server.port) }
}

/** Everyone goes first equally often. */
async function takeTurns(
  contestants: readonly Contestant[],
  bursts: number,
  perBurst: number,
): Promise<void> {
  for (let burst = 0; burst < bursts; burst += 1) {
    for (let i = 0; i < contestants.length; i += 1) {
      await contestants[(burst + i) % contestants.length]?.load.run(perBurst)
    }
  }
}

async function cpuMicrosOf(contestants: readonly Contestant[]): Promise<number[]> {
  const usages = await Promise.all(contestants.map(({ server }) => server.usage()))
  return usages.map(({ cpuMicros }) => cpuMicros)
}
