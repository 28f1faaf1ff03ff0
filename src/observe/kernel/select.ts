import type { KernelProbe } from './probe.js'
export function selectKernelProbe(_c: unknown, _f: (r: string) => void): KernelProbe {
  return { name: 'none', reason: 'stub', ask: () => ({ advance: () => true, samples: [] }) }
}
