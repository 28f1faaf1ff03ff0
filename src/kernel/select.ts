/** Chooses the view of the kernel that the option `kernel` names, or the best one that really works. */
import { createFfiProbe } from './ffi.js'
import { whyFfiFails } from './ffi-check.js'
import { loadLibc, whyNoFfi, type LoadOptions } from './libc.js'
import { answerNothing, noProbe, type KernelProbe, type ProbeRun, type ProbeTarget } from './probe.js'
import { createProcProbe, whyNoProc, type ProcProbeOptions } from './proc.js'

/** Told of a view that broke after it had been found to work. What never worked is told by `reason` alone. */
export type OnFallback = (reason: string) => void

/** What a test replaces. */
export interface SelectOptions {
  readonly platform?: string
  readonly ffi?: LoadOptions
  readonly proc?: ProcProbeOptions
}

/** A view that may turn out not to work. */
interface View {
  readonly name: string
  /** Why this view is out of the question, told cheaply; or `null`. */
  whyNot(): string | null
  /** Opens the view and proves that it works. Throws when it does not. */
  open(): KernelProbe
}

/**
 * Never throws, and does nothing yet: a view is looked for when somebody reads `name` or `reason` or asks. Under `auto`,
 * `name` is the view that is meant to answer, as far as that can be told without loading native code; a view that was
 * asked for by name is opened and verified before its name is told.
 *
 * - `ffi` is verified with a connection of its own (see `ffi-check.ts`).
 * - `proc` is verified by the header of /proc/self/net/tcp, and again at each table that it reads. Whether the table
 *   lists the sockets of this process can't be verified without opening one; hence the word of an absent row stays a
 *   candidate (see `proc.ts`).
 */
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
    open() {
      const libc = loadLibc(options.ffi)
      const flaw = whyFfiFails(libc)
      if (flaw !== null) throw new Error(flaw)
      return createFfiProbe(libc)
    },
  }
  const proc: View = {
    name: 'proc',
    whyNot: () => whyNoProc(options.proc),
    open: () => createProcProbe(options.proc),
  }
  return standOnBest(choice === 'proc' ? [proc] : [ffi, proc], choice !== 'auto', onFallback)
}

/**
 * Steps down when a view turns out not to work. One that breaks in the middle of a question is replaced, and its
 * successor answers the same question, so that the caller never sees the exception.
 *
 * @param views best first
 * @param isVerified the name is told only of a view that was opened
 */
function standOnBest(views: View[], isVerified: boolean, onFallback: OnFallback): KernelProbe {
  const reasons: string[] = []
  let probe: KernelProbe | null = null
  let isFirstPossible = false

  /** Never throws. Where `opens` is false, the answer may be a view that is only meant to work. */
  function settle(opens: true): KernelProbe
  function settle(opens: boolean): KernelProbe | View
  function settle(opens: boolean): KernelProbe | View {
    while (probe === null) {
      const view = views[0]
      if (view === undefined) return (probe = noProbe(`kernel view: unavailable (${reasons.join('; ')})`))
      try {
        const whyNot = isFirstPossible ? null : view.whyNot()
        isFirstPossible = whyNot === null
        if (whyNot !== null) drop(whyNot)
        else if (opens) probe = view.open()
        else return view
      } catch (error) {
        drop(error)
      }
    }
    return probe
  }

  function drop(why: unknown): void {
    reasons.push(`${views.shift()?.name ?? 'probe'}: ${why instanceof Error ? why.message : String(why)}`)
    isFirstPossible = false
  }

  /** Whoever finds a view broken a second time finds it gone. */
  function stepDown(broken: KernelProbe, error: unknown): void {
    if (broken !== probe) return
    probe = null
    drop(error)
    // Neither what a broken probe throws when it is closed nor a listener's mistake may reach the sweep.
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

    /** Ends: when all views have failed, what is left does not throw. */
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
      settle(isVerified)
      return probe?.reason ?? (reasons.join('; ') || null)
    },
    ask,
    restMs: () => attempt((used) => used.restMs?.() ?? 0, 0),
    setKeepAlive: (fd, times) => attempt((used) => used.setKeepAlive?.(fd, times) ?? false, false),
    readKeepAlive: (fd, evenIfOff) => attempt((used) => used.readKeepAlive?.(fd, evenIfOff) ?? null, null),
    setUserTimeout: (fd, ms) => attempt((used) => used.setUserTimeout?.(fd, ms) ?? false, false),
    close: () => probe?.close?.(),
  }
}

function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // told by nobody: see the caller
  }
}
