/** The cost gate can fail, and says what is too much. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT } from './support/package-root.js'
import { runNode } from './support/run-node.js'

const GATE = join(PACKAGE_ROOT, 'build', 'bench', 'cost-gate.js')
const hasValgrind = spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status === 0

t.test('a cost above its bound fails the gate, one below passes', async (t) => {
  const refused = await runNode([GATE, '--only', 'Start', '--bound', '0.5'])
  if (!hasValgrind) {
    t.match(refused, { code: 0, stdout: /^cost gate: skipped/ })
    return
  }
  t.match(refused, { code: 1, stdout: /^too much \d\.\d{3} of 0\.50 {2}Start/ })
  const passed = await runNode([GATE, '--only', 'Start', '--bound', '9'])
  t.match(passed, { code: 0, stdout: /^ok {7}\d\.\d{3} of 9\.00 {2}Start/ })
})
