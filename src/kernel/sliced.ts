import { CpuShare } from './cpu-share.js'
import { answerNothing, type KernelProbe, type KernelSample, type ProbeTarget } from './probe.js'

/** Yields where the work may be interrupted; `'long step'` before work that needs a slice of its own. */
export type Steps = Generator<'long step' | undefined, void>

export function workFor(steps: Steps, budgetMs: number, now: () => number): boolean {
  const startedMs = now()
  do {
    const { done, value } = steps.next()
    if (done === true) return true
    if (value === 'long step' && budgetMs !== Infinity) return false
  } while (now() - startedMs < budgetMs)
  return false
}

export function createSlicedProbe(
  name: string,
  look: (targets: readonly ProbeTarget[], samples: Array<KernelSample | null>) => Steps,
  now: () => number,
): KernelProbe & { restMs(): number; close(): void } {
  const share = new CpuShare(now)
  let close = (): void => {}

  return {
    name,
    reason: null,
    restMs: () => share.restMs(),
    close: () => {
      close()
    },
    ask(targets) {
      close()
      if (targets.length === 0) return answerNothing(targets)
      const samples: Array<KernelSample | null> = targets.map(() => null)
      const steps = look(targets, samples)
      let isDone = false
      share.begin()
      close = function abandon() {
        if (isDone) return
        isDone = true
        samples.fill(null)
        steps.return()
      }
      return {
        samples,
        advance(budgetMs) {
          if (isDone) return true
          const startedMs = now()
          try {
            isDone = workFor(steps, budgetMs, now)
          } catch (error) {
            isDone = true
            samples.fill(null)
            throw error
          } finally {
            share.spend(startedMs)
          }
          return isDone
        },
      }
    },
  }
}
