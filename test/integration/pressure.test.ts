/** Descriptors run out: with the option `pressure` the oldest suspects go first, before anybody sees EMFILE. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { cleanEnvironment } from '../support/run-node.js'

const PROGRAM = join(import.meta.dirname, '..', 'programs', 'crowded-server.js')
const LIMIT = 160
const WANTED = 200

interface Outcome {
  readonly accepted: number
  readonly descriptors: {
    readonly openDescriptors: number
    readonly descriptorLimit: number
    readonly reclaimed: number
    readonly pressure: number | null
  }
  readonly totals: { readonly tracked: number; readonly reclaimed: number }
}

async function crowd(pressure: 'on' | 'off'): Promise<Outcome> {
  const run = `ulimit -n ${LIMIT}; exec "$0" "$1" ${pressure} ${WANTED}`
  const { stdout } = await promisify(execFile)('sh', ['-c', run, process.execPath, PROGRAM], {
    env: cleanEnvironment(),
  })
  return JSON.parse(stdout) as Outcome
}

t.test('off: the server stops accepting when the limit is reached', async (t) => {
  const { accepted, descriptors, totals } = await crowd('off')
  t.ok(accepted < WANTED, `${accepted} accepted`)
  t.equal(descriptors.descriptorLimit, LIMIT)
  t.equal(descriptors.pressure, null)
  t.equal(totals.reclaimed, 0)
})

t.test('on: it goes on accepting', async (t) => {
  const { accepted, descriptors, totals } = await crowd('on')
  t.equal(accepted, WANTED)
  t.ok(totals.reclaimed > 0, `${totals.reclaimed} reclaimed`)
  t.equal(descriptors.reclaimed, totals.reclaimed)
  t.ok(descriptors.openDescriptors < LIMIT)
})

t.test('a flood between two sweeps: healthy clients are served on', async (t) => {
  const program = join(import.meta.dirname, '..', 'programs', 'flooded-server.js')
  const flood = async (
    pressure: 'on' | 'off',
  ): Promise<{ asked: number; answered: number; reclaimed: number }> => {
    const run = `ulimit -n 256; exec "$0" "$1" ${pressure}`
    const { stdout } = await promisify(execFile)('sh', ['-c', run, process.execPath, program], {
      env: cleanEnvironment(),
    })
    return JSON.parse(stdout)
  }
  const [on, off] = await Promise.all([flood('on'), flood('off')])
  t.ok(on.answered >= on.asked * 0.95, `${on.answered} of ${on.asked} are answered`)
  t.ok(on.reclaimed > 0)
  t.ok(off.answered < off.asked * 0.8, `without it ${off.answered} of ${off.asked}`)
  t.equal(off.reclaimed, 0)
})
