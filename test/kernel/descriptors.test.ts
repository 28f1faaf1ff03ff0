import { spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createDescriptorCounter } from '../../src/kernel/descriptors.js'
import { connectPair, targetOf } from './connected-pair.js'
import { packageRoot } from './proc-fixtures.js'

function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'slg-proc-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

t.test('counts open descriptors and knows the soft limit', async (t) => {
  const count = createDescriptorCounter()
  const before = count()
  const fds = Array.from({ length: 10 }, () => openSync('/dev/null', 'r'))
  t.equal(count()!.open, before!.open + 10)
  t.equal(before!.open, readdirSync('/proc/self/fd').length - 1 - 10)
  for (const fd of fds) closeSync(fd)
  t.ok((before!.softLimit ?? 0) >= before!.open)
})

interface Answer {
  readonly answer: { readonly open: number; readonly softLimit: number } | null
  readonly listed: number
}

/** What `code` answers in a process with a limit of 77 descriptors, and how many are open then. */
function runWithFewDescriptors(code: string): Answer {
  const directory = join(packageRoot(import.meta.dirname), 'build/src/kernel')
  const program = `
    const { createDescriptorCounter } = await import('${directory}/descriptors.js')
    const fs = await import('node:fs')
    const opened = []
    function openAll() {
      try { for (;;) opened.push(fs.openSync('/dev/null')) } catch {}
    }
    console.log('ready') // opens what console needs
    const answer = (() => { ${code} })()
    for (const fd of opened.splice(-2)) fs.closeSync(fd)
    const listed = fs.readdirSync('/proc/self/fd').length + 1 // two were closed, one lists
    console.log(JSON.stringify({ answer, listed }))`
  const script = 'ulimit -n 77 && exec "$0" --input-type=module -e "$1"'
  const child = spawnSync('/bin/sh', ['-c', script, process.execPath, program], { encoding: 'utf8' })
  if (child.status !== 0) throw new Error(child.stderr)
  return JSON.parse(child.stdout.split('\n')[1]!) as Answer
}

/** A directory of procfs without a size stands for an older kernel, where counting takes a descriptor as well. */
const ON_OLDER_KERNEL = `
  const directory = fs.mkdtempSync('${join(tmpdir(), 'slg-proc-')}')
  fs.symlinkSync('/proc/self/ns', directory + '/fd')
  fs.symlinkSync('/proc/self/limits', directory + '/limits')
  const count = createDescriptorCounter(directory)
  process.on('exit', () => fs.rmSync(directory, { recursive: true }))`

t.test('the limit is the one that ulimit sets', async (t) => {
  t.equal(runWithFewDescriptors('return createDescriptorCounter()()').answer?.softLimit, 77)
})

t.test('that no descriptor is left is an answer', async (t) => {
  const { answer, listed } = runWithFewDescriptors('openAll(); return createDescriptorCounter()()')
  t.same(answer, { open: listed, softLimit: 77 }, 'too late to read the limit')
  t.same(
    runWithFewDescriptors(`${ON_OLDER_KERNEL}; count(); openAll(); return count()`).answer,
    { open: 77, softLimit: 77 },
    'the limit was read before',
  )
  t.equal(
    runWithFewDescriptors(`${ON_OLDER_KERNEL}; openAll(); return count()`).answer,
    null,
    'nothing is known',
  )
})

t.test('elsewhere there is nothing to count', async (t) => {
  t.equal(createDescriptorCounter('/nonexistent')(), null)
})

t.test('an older kernel has no size for the directory: it is listed', async (t) => {
  const directory = temporaryDirectory(t)
  symlinkSync('/proc/self/ns', join(directory, 'fd')) // any directory of procfs but fd
  t.equal(statSync(join(directory, 'fd')).size, 0)
  t.same(createDescriptorCounter(directory)(), {
    open: readdirSync('/proc/self/ns').length - 1,
    softLimit: null,
  })
})

t.test('a limit may be unlimited, and may change', async (t) => {
  const directory = temporaryDirectory(t)
  mkdirSync(join(directory, 'fd'))
  const count = createDescriptorCounter(directory)
  function writeLimit(limit: string): void {
    const row = ['Max open files', limit, limit, 'files'].map((column) => column.padEnd(25)).join('')
    writeFileSync(join(directory, 'limits'), `${row}\n`)
  }
  writeLimit('1024')
  t.equal(count()?.softLimit, 1024)
  writeLimit('unlimited')
  t.equal(count()?.softLimit, null)
})

t.test('a target knows its descriptor only as long as there is one', async (t) => {
  const pair = await connectPair(t)
  const target = targetOf(pair.server)
  t.ok(target.fd() > 0)
  pair.server.destroy()
  t.equal(target.fd(), -1)
})
