/** What the application has let go of is collected: the guard keeps no socket, request, response, store, error, receiver or server. */
import { join } from 'node:path'
import t from 'tap'
import type { InstallOptions } from '../../src/index.js'
import { runNode } from '../support/run-node.js'

const PROGRAM = join(import.meta.dirname, '..', 'programs', 'retention.js')

interface Played {
  /** Names of what is left, by scene. */
  readonly left: Readonly<Record<string, readonly string[]>>
  readonly told: readonly string[]
}

async function play(options?: InstallOptions): Promise<Played> {
  const { code, stdout, stderr } = await runNode(
    [PROGRAM, ...(options === undefined ? [] : [JSON.stringify(options)])],
    { env: { NODE_NO_WARNINGS: '1' } },
  )
  t.equal(code, 0, stderr)
  return JSON.parse(stdout) as Played
}

t.test('without a guard nothing is left, so whatever is left is the guard’s', async (t) => {
  t.same((await play()).left, {})
})

const EVERYTHING: InstallOptions = {
  stacks: 'always',
  context: 'async-local-storage',
  propagateAbort: 'context',
  keepAlive: { when: 'always' },
}

for (const [name, options] of Object.entries<InstallOptions>({
  'by default': {},
  'with kernel: off': { kernel: 'off' },
  'with everything on': EVERYTHING,
})) {
  t.test(`with a guard ${name}`, async (t) => {
    const { left, told } = await play(options)
    t.same(left, {})
    t.ok(told.includes('leaked eof-ignored'), told.join())
  })
}
