import { closeSync, openSync } from 'node:fs'
import { errorCode } from '../base/errors.js'
import { monotonicMs } from '../base/real-time.js'
import type { LoadOptions } from './libc.js'
import { answerNothing, noProbe, type KernelProbe, type ProbeRun, type ProbeTarget } from './probe.js'
import type { ProcProbeOptions } from './proc.js'
import { openFfi, openProc, whyNoFfi, whyNoProc } from './views.js'

export type OnFallback = (reason: string) => void

export interface SelectOptions {
  readonly platform?: string
  readonly ffi?: LoadOptions
  readonly proc?: ProcProbeOptions
}

interface View {
  readonly name: string
  whyNot(): string | null
  open(): KernelProbe
}

// Never throws, and does nothing until `name`, `reason` or `ask` is used. Under `auto`, `name` is the expected view, as
// far as that shows without loading native code; a view chosen by name is verified first.
export function selectKernelProbe(
  choice: 'auto' | 'ffi' | 'proc' | 'off' | KernelProbe,
  onFallback: OnFallback = () => {},
  options: SelectOptions = {},
): KernelProbe {
  const platform = options.platform ?? process.platform
  if (choice === 'off') return noProbe('kernel view: switched off')
  if (typeof choice === 'object') {
    return standOnBest([{ name: choice.name, whyNot: () => null, open: () => choice }], true, onFallback)
  }
  if (platform !== 'linux') return noProbe(`kernel view: unavailable on ${platform}`)
  const ffi: View = {
    name: 'ffi',
    whyNot: () => whyNoFfi(options.ffi),
    open: () => openFfi(options.ffi, monotonicMs),
  }
  const proc: View = {
    name: 'proc',
    whyNot: () => whyNoProc(options.proc),
    open: () => openProc({ now: monotonicMs, ...options.proc }),
  }
  return standOnBest(choice === 'proc' ? [proc] : [ffi, proc], choice !== 'auto', onFallback)
}

// Uses the best view that works. If one breaks during a question, the next one answers it. `views` come best first;
// `isVerified` delays `name` until the view was opened.
function standOnBest(views: View[], isVerified: boolean, onFallback: OnFallback): KernelProbe {
  const reasons: string[] = []
  let probe: KernelProbe | null = null
  let isFirstPossible = false

  /** Never throws. With `opens` false the view may be unverified. */
  function settle(opens: true): KernelProbe
  function settle(opens: boolean): KernelProbe | View
  function settle(opens: boolean): KernelProbe | View {
    while (probe === null) {
      const view = views[0]
      if (view === undefined) return (probe = noProbe(`kernel view: unavailable (${reasons.join('; ')})`))
      let why: unknown
      try {
        why = isFirstPossible ? null : view.whyNot()
        isFirstPossible = why === null
        if (why === null) return opens ? (probe = view.open()) : view
      } catch (error) {
        why = error
      }
      // The view is not at fault; try again later.
      if (isOutOfDescriptors()) return noProbe('kernel view: the process is out of descriptors')
      drop(why)
    }
    return probe
  }

  function drop(why: unknown): void {
    reasons.push(`${views.shift()?.name ?? 'probe'}: ${why instanceof Error ? why.message : String(why)}`)
    isFirstPossible = false
  }

  function stepDown(broken: KernelProbe, error: unknown): void {
    if (broken !== probe) return
    probe = null
    drop(error)
    quietly(() => broken.close?.())
    quietly(() => onFallback(reasons.at(-1) ?? ''))
  }

  function attempt<Result>(use: (probe: KernelProbe) => Result, otherwise: Result): Result {
    const used = settle(true)
    try {
      return use(used)
    } catch (error) {
      stepDown(used, error)
      return otherwise
    }
  }

  function ask(targets: readonly ProbeTarget[]): ProbeRun {
    if (targets.length === 0) return answerNothing(targets)
    let asked = settle(true)
    let run = begin()

    function begin(): ProbeRun {
      for (;;) {
        asked = settle(true)
        try {
          return asked.ask(targets)
        } catch (error) {
          stepDown(asked, error)
        }
      }
    }

    return {
      get samples() {
        return run.samples
      },
      advance(budgetMs) {
        try {
          return run.advance(budgetMs)
        } catch (error) {
          stepDown(asked, error)
          run = begin()
          return false
        }
      },
    }
  }

  return {
    get name() {
      return settle(isVerified).name
    },
    get reason() {
      const settled = settle(isVerified)
      return ('reason' in settled ? settled.reason : null) ?? (reasons.join('; ') || null)
    },
    ask,
    restMs: () => attempt((used) => used.restMs?.() ?? 0, 0),
    setKeepAlive: (fd, times) => attempt((used) => used.setKeepAlive?.(fd, times) ?? false, false),
    readKeepAlive: (fd, evenIfOff) => attempt((used) => used.readKeepAlive?.(fd, evenIfOff) ?? null, null),
    setUserTimeout: (fd, ms) => attempt((used) => used.setUserTimeout?.(fd, ms) ?? false, false),
    close: () => probe?.close?.(),
  }
}

function isOutOfDescriptors(): boolean {
  try {
    closeSync(openSync('/proc/self', 'r'))
    return false
  } catch (error) {
    return ['EMFILE', 'ENFILE'].includes(errorCode(error))
  }
}

function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // See the caller.
  }
}
