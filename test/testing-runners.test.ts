/** The examples for the runners that are here: a leak fails the test, its code is in the message, and the runner ends. */
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT } from './support/package-root.js'
import { runNode } from './support/run-node.js'

const EXAMPLES = join(PACKAGE_ROOT, 'examples', 'test-runners')
const MOCHA = join(PACKAGE_ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js')

t.jobs = 3

for (const [runner, args] of Object.entries({
  'node:test': ['--test', 'node-test.mjs'],
  tap: ['tap.mjs'],
  mocha: [MOCHA, '--require', './mocha-hooks.mjs', 'mocha.mjs'],
})) {
  t.test(runner, { buffered: true }, async (t) => {
    const { code, stdout } = await runNode(args, { cwd: EXAMPLES, isBare: true })
    t.equal(code, 1)
    t.match(stdout, '1 socket was left behind:')
    t.match(stdout, "leaky.mjs:7 - socket.on('data', function keepReading() {})")
  })
}
