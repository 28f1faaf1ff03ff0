/** A closed socket leaves nothing behind: no entry, no record, no stack, no context. */
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { runNode } from '../support/run-node.js'

t.setTimeout(120_000)

const SOCKETS = 100_000

t.test('a hundred thousand of them, with context and stacks', async (t) => {
  const program = join(PACKAGE_ROOT, 'build', 'test', 'programs', 'closed-sockets.js')
  const { code, stdout, stderr } = await runNode(['--expose-gc', program, String(SOCKETS)])
  t.same({ code, stderr }, { code: 0, stderr: '' })
  const { seen, tracked, sampled, alive } = JSON.parse(stdout) as Record<string, number>
  t.ok(seen! >= SOCKETS, `${seen} sockets`)
  t.ok(sampled! >= 50, `${sampled} of them watched`)
  t.same({ tracked, alive }, { tracked: 0, alive: 0 })
})
