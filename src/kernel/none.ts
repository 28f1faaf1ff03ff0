/** No view of the kernel: says why and answers `null` to everything. */
import type { KernelProbe, ProbeRun, ProbeTarget } from './probe.js'

export function createNoneProbe(reason: string): KernelProbe {
  return { name: 'none', reason, ask: answerNothing }
}

/**
 * A run that is over before it began. Costs no system call; also the answer to a question about no socket.
 */
export function answerNothing(targets: readonly ProbeTarget[]): ProbeRun {
  return { advance: isDone, samples: targets.map(() => null) }
}

function isDone(): boolean {
  return true
}
