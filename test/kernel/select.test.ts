import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Load } from '../../src/kernel/libc.js'
import type { KernelProbe, ProbeRun, ProbeTarget } from '../../src/kernel/probe.js'
import { selectKernelProbe, type SelectOptions } from '../../src/kernel/select.js'
import { ask, connectPair, targetOf } from './connected-pair.js'
import { FakeProc } from './fake-proc.js'
import { packageRoot } from './proc-fixtures.js'

const root = packageRoot(import.meta.dirname)

const withoutKoffi: Load = Object.assign(
  () => {
    throw new Error('not reached')
  },
  {
    resolve: () => {
      throw new Error("Cannot find module 'koffi'")
    },
  },
)

function brokenKoffi(error: Error): Load {
  return Object.assign(
    () => {
      throw error
    },
    { resolve: () => '/node_modules/koffi/index.cjs' },
  )
}

function fakeProc(): { directory: string; files: FakeProc } {
  return { directory: '/proc/self/net', files: new FakeProc() }
}

function select(
  choice: Parameters<typeof selectKernelProbe>[0],
  { onFallback, ...options }: SelectOptions & { onFallback?: (reason: string) => void } = {},
): KernelProbe {
  return selectKernelProbe(choice, onFallback, options)
}

t.test('auto takes ffi where it works, and loads nothing before the first question', async (t) => {
  const pair = await connectPair(t)
  let loads = 0
  const { createRequire } = await import('node:module')
  const require = createRequire(import.meta.url)
  const load: Load = Object.assign(
    (id: string) => {
      loads += 1
      return require(id) as unknown
    },
    { resolve: (id: string) => require.resolve(id) },
  )
  const probe = select('auto', { ffi: { load } })
  t.same([probe.name, probe.reason, loads], ['ffi', null, 0])
  t.same(ask(probe), [])
  t.equal(loads, 0, 'a question about nobody is no question')
  t.match(ask(probe, pair.server), [{ state: 'ESTABLISHED', rttMs: Number }])
  t.equal(loads, 1)
  t.ok(probe.setUserTimeout?.((pair.server as unknown as { _handle: { fd: number } })._handle.fd, 5000))
  t.ok((probe.restMs?.() ?? -1) >= 0)
})

t.test('auto without koffi is proc, says so, and bothers nobody', async (t) => {
  const pair = await connectPair(t)
  const fallbacks: string[] = []
  const probe = select('auto', {
    ffi: { load: withoutKoffi },
    onFallback: (reason) => fallbacks.push(reason),
  })
  t.same([probe.name, probe.reason], ['proc', 'ffi: the optional package koffi is not installed'])
  t.match(ask(probe, pair.server), [{ state: 'ESTABLISHED', rttMs: null }])
  t.notOk(probe.setKeepAlive?.(3, { idleMs: 1000, intervalMs: 1000, count: 1 }))
  t.equal(probe.readKeepAlive?.(3), null)
  t.notOk(probe.setUserTimeout?.(3, 1000))
  t.same(fallbacks, [])
})

t.test('koffi that cannot be loaded is found out at the first question', async (t) => {
  const pair = await connectPair(t)
  const error = Object.assign(new Error('Cannot load native addon\nmore lines'), {
    code: 'ERR_DLOPEN_DISABLED',
  })
  const probe = select('auto', { ffi: { load: brokenKoffi(error) } })
  t.equal(probe.name, 'ffi')
  t.match(ask(probe, pair.server), [{ state: 'ESTABLISHED' }])
  t.equal(probe.name, 'proc')
  t.equal(probe.reason, "ffi: koffi can't be loaded (ERR_DLOPEN_DISABLED: Cannot load native addon)")
})

t.test('asked for by name: opened at once, and the reason tells what is missing', async (t) => {
  const fallbacks: string[] = []
  const onFallback = (reason: string) => fallbacks.push(reason)
  const real = select('ffi', { onFallback })
  t.same([real.name, real.reason], ['ffi', null])

  const broken = select('ffi', { onFallback, ffi: { load: brokenKoffi(new Error('no glibc')) } })
  t.same([broken.name, broken.reason], ['proc', "ffi: koffi can't be loaded (no glibc)"])

  const proc = select('proc', { onFallback })
  t.same([proc.name, proc.reason], ['proc', null])

  const blind = select('ffi', {
    onFallback,
    ffi: { load: withoutKoffi },
    proc: { directory: '/nonexistent' },
  })
  t.equal(blind.name, 'none')
  t.match(
    blind.reason,
    /^kernel view: unavailable \(ffi: the optional package koffi is not installed; proc: can't read \/nonexistent\/tcp: ENOENT/,
  )
  t.same(ask(blind, {}), [null])
  t.same(fallbacks, [], 'the caller knows from the reason')
})

t.test('a module that is no koffi is no reason to crash', async (t) => {
  const load: Load = Object.assign(() => ({}), { resolve: () => 'koffi' })
  const probe = select('ffi', { ffi: { load } })
  t.equal(probe.name, 'proc')
  t.match(probe.reason, /^ffi: koffi can't be loaded/)
})

t.test('other systems and machines, worker threads, and off', async (t) => {
  for (const choice of ['auto', 'ffi', 'proc'] as const) {
    const probe = select(choice, { platform: 'darwin' })
    t.same([probe.name, probe.reason], ['none', 'kernel view: unavailable on darwin'])
  }
  t.equal(select('ffi', { ffi: { arch: 'mips' } }).reason, 'ffi: unavailable on mips')
  t.equal(select('ffi', { ffi: { isMainThread: false } }).reason, 'ffi: not used in a worker thread')
  const off = selectKernelProbe('off')
  t.same([off.name, off.reason], ['none', 'kernel view: switched off'])
  t.same(ask(off, {}, {}), [null, null])
})

t.test('a view that breaks is replaced in the middle of a question, and one warning tells', async (t) => {
  const fallbacks: string[] = []
  const proc = fakeProc()
  proc.files.inodes.set(7, 70)
  const probe = select('auto', {
    ffi: { load: withoutKoffi },
    proc,
    onFallback: (reason) => fallbacks.push(reason),
  })
  const target = { inode: 0, fd: () => 7 }
  const run = probe.ask([target])
  proc.files.failures.set('tcp', 'EACCES')
  while (!run.advance(Infinity));
  t.same(run.samples, [null])
  t.same(fallbacks, ['proc: EACCES'])
  t.equal(probe.name, 'none')
  t.equal(
    probe.reason,
    'kernel view: unavailable (ffi: the optional package koffi is not installed; proc: EACCES)',
  )
  const again = probe.ask([target])
  t.ok(again.advance(Infinity))
  t.same(again.samples, [null])
  t.equal(fallbacks.length, 1)
})

t.test('ffi that breaks is followed by proc', async (t) => {
  const pair = await connectPair(t)
  const { createRequire } = await import('node:module')
  const require = createRequire(import.meta.url)
  let isBroken = false
  const koffi = require('koffi') as {
    load(path: null): { func(...args: unknown[]): (...a: unknown[]) => number }
  }
  const load: Load = Object.assign(
    () => ({
      ...koffi,
      load() {
        const library = koffi.load(null)
        return {
          func(...declaration: unknown[]) {
            const real = library.func(...declaration)
            return (...args: unknown[]) => {
              if (isBroken) throw new Error('out of order')
              return real(...args)
            }
          },
        }
      },
    }),
    { resolve: () => 'koffi' },
  )
  const fallbacks: string[] = []
  const probe = select('auto', { ffi: { load }, onFallback: (reason) => fallbacks.push(reason) })
  t.match(ask(probe, pair.server), [{ state: 'ESTABLISHED', rttMs: Number }])
  t.same([probe.name, probe.reason], ['ffi', null])
  isBroken = true
  t.match(ask(probe, pair.server), [{ state: 'ESTABLISHED', rttMs: null }])
  t.same([probe.name, probe.reason], ['proc', 'ffi: out of order'])
  t.same(fallbacks, ['ffi: out of order'])
})

t.test('a probe of your own is used as it is, and none follows when it breaks', async (t) => {
  const sample = { state: 'CLOSE_WAIT' } as never
  let askedFor = 0
  let closed = 0
  let isBroken = false
  const own: KernelProbe = {
    name: 'mine',
    reason: 'half blind',
    ask(targets: readonly ProbeTarget[]): ProbeRun {
      askedFor += targets.length
      if (isBroken) throw new Error('boom')
      return { advance: () => true, samples: [sample] }
    },
    restMs: () => 12,
    close: () => {
      closed += 1
    },
  }
  const fallbacks: string[] = []
  const probe = select(own, {
    platform: 'darwin',
    onFallback(reason) {
      fallbacks.push(reason)
      throw new Error('a listener that throws')
    },
  })
  t.same([probe.name, probe.reason], ['mine', 'half blind'])
  t.same(ask(probe, {}), [sample])
  t.same([probe.restMs?.(), askedFor], [12, 1])
  isBroken = true
  t.same(ask(probe, {}, {}), [null, null])
  t.same(fallbacks, ['mine: boom'])
  t.equal(closed, 1)
  t.same([probe.name, probe.reason], ['none', 'kernel view: unavailable (mine: boom)'])
})

/** Asks about a real CLOSE_WAIT socket in a process of its own and prints what it learned. */
const CHILD = `
const { selectKernelProbe } = await import(process.env.SELECT)
const net = await import('node:net')
const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (socket) => {
  const probe = selectKernelProbe('auto')
  for (let tries = 0; ; tries += 1) {
    const run = probe.ask([{ inode: 0, fd: () => socket._handle.fd }])
    while (!run.advance(Infinity));
    const state = run.samples[0]?.state
    if (state === 'CLOSE_WAIT' || state === undefined || tries > 200) {
      console.log(JSON.stringify({ uid: process.getuid(), name: probe.name, reason: probe.reason, state }))
      process.exit()
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}).listen(0, '127.0.0.1', () => net.connect({ port: listener.address().port, allowHalfOpen: true }).end())
`

function runChild(select: string, flags: string[] = [], options: { uid?: number } = {}): unknown {
  const child = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', CHILD], {
    encoding: 'utf8',
    cwd: tmpdir(),
    env: { PATH: process.env.PATH, SELECT: select },
    ...options,
  })
  if (child.status !== 0) throw new Error(child.stderr)
  return JSON.parse(child.stdout)
}

function selectIn(directory: string): string {
  return join(directory, 'build/src/kernel/select.js')
}

t.test('in a process without privileges both views work', async (t) => {
  const isRoot = process.getuid?.() === 0
  const nobody = isRoot ? { uid: 65_534 } : {}
  const uid = isRoot ? 65_534 : process.getuid?.()
  t.match(runChild(selectIn(root), [], nobody), { uid, name: 'ffi', reason: null, state: 'CLOSE_WAIT' })
  t.match(runChild(selectIn(root), ['--no-addons'], nobody), { uid, name: 'proc', state: 'CLOSE_WAIT' })
})

t.test('with native addons forbidden', async (t) => {
  t.match(runChild(selectIn(root), ['--no-addons']), {
    name: 'proc',
    reason: /^ffi: koffi can't be loaded \(ERR_DLOPEN_DISABLED/,
    state: 'CLOSE_WAIT',
  })
})

t.test('where koffi is not installed', async (t) => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'slg-without-koffi-'))
  t.teardown(() => rmSync(elsewhere, { recursive: true }))
  cpSync(join(root, 'build/src'), join(elsewhere, 'build/src'), { recursive: true })
  writeFileSync(join(elsewhere, 'package.json'), '{ "type": "module" }')
  t.match(runChild(selectIn(elsewhere)), {
    name: 'proc',
    reason: 'ffi: the optional package koffi is not installed',
    state: 'CLOSE_WAIT',
  })
})

t.test('in a worker thread, which may be terminated at any moment', async (t) => {
  const code = `
    import { Worker } from 'node:worker_threads'
    const worker = new Worker(\`
      Promise.all([import(process.env.SELECT), import('node:worker_threads')]).then(([select, threads]) => {
        const { name, reason } = select.selectKernelProbe('auto')
        threads.parentPort.postMessage({ name, reason })
      })
    \`, { eval: true })
    worker.on('message', async (message) => {
      await worker.terminate()
      console.log(JSON.stringify(message))
    })`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    env: { SELECT: selectIn(root) },
  })
  t.same(JSON.parse(output), { name: 'proc', reason: 'ffi: not used in a worker thread' })
})

t.test('targets are asked for their descriptor only when it is needed', async (t) => {
  const pair = await connectPair(t)
  const target = targetOf(pair.server)
  let reads = 0
  const counted: ProbeTarget = {
    inode: 0,
    fd() {
      reads += 1
      return target.fd()
    },
  }
  const run = select('auto').ask([counted])
  t.equal(reads, 0)
  t.ok(run.advance(Infinity))
  t.equal(reads, 1)
})
