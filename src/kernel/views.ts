// What the first question to the kernel needs. The preload loads it then (`LATER` in scripts/bundle.ts).
import { createFfiProbe } from './ffi.js'
import { whyFfiFails } from './ffi-check.js'
import { loadLibc, type LoadOptions } from './libc.js'
import type { KernelProbe } from './probe.js'

export { whyNoFfi } from './libc.js'
export { createProcProbe as openProc, whyNoProc } from './proc.js'

export function openFfi(options: LoadOptions | undefined, now: () => number): KernelProbe {
  const libc = loadLibc(options)
  const flaw = whyFfiFails(libc)
  if (flaw !== null) throw new Error(flaw)
  return createFfiProbe(libc, now)
}
