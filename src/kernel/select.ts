/** Chooses the view of the kernel that the option `kernel` names, or the best one that really works. */
import { createFfiProbe } from './ffi.js'
import { whyFfiFails } from './ffi-check.js'
import { Ladder, type OnFallback, type Rung } from './ladder.js'
import { loadLibc, whyNoFfi, type LoadOptions } from './libc.js'
import { createNoneProbe } from './none.js'
import type { KernelProbe } from './probe.js'
import { createProcProbe, whyNoProc, type ProcProbeOptions } from './proc.js'

/** What a test replaces. */
export interface SelectOptions {
  readonly platform?: string
  readonly ffi?: LoadOptions
  readonly proc?: ProcProbeOptions
}

/**
 * Never throws. A view that was asked for by name is opened and verified at once, so that `name` and `reason`
 * tell the truth from the beginning. Under `auto` nothing is loaded before the first question about a socket:
 * until then `name` is the view that is meant to answer.
 *
 * - `ffi` is verified with a connection of its own (see `ffi-check.ts`).
 * - `proc` is verified by the header of /proc/self/net/tcp, and again at each table that it reads. Whether
 *   the table lists the sockets of this process can't be verified without opening one; hence the word of an
 *   absent row stays a candidate (see `proc.ts`).
 *
 * @param onFallback told when a view that worked broke and a lesser one took over. What never worked is told
 * by `reason` alone.
 */
export function selectKernelProbe(
  choice: 'auto' | 'ffi' | 'proc' | 'off' | KernelProbe,
  onFallback: OnFallback = ignore,
  options: SelectOptions = {},
): KernelProbe {
  const platform = options.platform ?? process.platform
  if (choice === 'off') return createNoneProbe('kernel view: switched off')
  if (typeof choice === 'object') return openAtOnce([ownRung(choice)], onFallback)
  if (platform !== 'linux') return createNoneProbe(`kernel view: unavailable on ${platform}`)
  const ffi = ffiRung(options.ffi)
  const proc = procRung(options.proc)
  if (choice === 'auto') return new Ladder([ffi, proc], lastResort, onFallback)
  return openAtOnce(choice === 'ffi' ? [ffi, proc] : [proc], onFallback)
}

function openAtOnce(rungs: readonly Rung[], onFallback: OnFallback): KernelProbe {
  const ladder = new Ladder(rungs, lastResort, onFallback)
  ladder.settle()
  return ladder
}

function ffiRung(options: LoadOptions = {}): Rung {
  return { name: 'ffi', whyNot: () => whyNoFfi(options), open: openFfi }

  function openFfi(): KernelProbe {
    const libc = loadLibc(options)
    const flaw = whyFfiFails(libc)
    if (flaw !== null) throw new Error(flaw)
    return createFfiProbe(libc)
  }
}

function procRung(options: ProcProbeOptions = {}): Rung {
  return { name: 'proc', whyNot: () => whyNoProc(options), open: () => createProcProbe(options) }
}

function ownRung(probe: KernelProbe): Rung {
  return { name: probe.name, whyNot: () => null, open: () => probe }
}

function lastResort(reasons: readonly string[]): KernelProbe {
  return createNoneProbe(`kernel view: unavailable (${reasons.join('; ')})`)
}

function ignore(): void {}
