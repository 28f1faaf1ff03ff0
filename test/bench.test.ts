/** The benchmark still runs and prints its tables. What it measures is not judged here: a busy machine says anything. */
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT } from './support/package-root.js'
import { runNode } from './support/run-node.js'

t.test('a quick run prints a finite ratio for every workload', async (t) => {
  const { code, stdout, stderr } = await runNode([join(PACKAGE_ROOT, 'build', 'bench', 'run.js'), '--quick'])
  t.equal(code, 0, stderr)
  for (const workload of [
    'HTTP, keep-alive',
    'HTTP, a connection per request',
    'WebSocket echo',
    'TCP: accept',
  ]) {
    const row = stdout.split('\n').find((line) => line.startsWith(`| ${workload}`))
    t.match(row, /\| \*\*\d+\.\d{3}\*\*/, workload)
  }
  t.match(stdout, /^\| TCP \| -?\d+ B \| \*\*-?\d+\*\*/m)
})

t.test('thousands of sockets are swept in slices, and each keeps little', async (t) => {
  const { code, stdout, stderr } = await runNode([
    join(PACKAGE_ROOT, 'build', 'bench', 'many-sockets.js'),
    '2000',
  ])
  t.equal(code, 0, stderr)
  for (const state of ['healthy', 'leaked']) {
    const row = stdout.split('\n').find((line) => line.startsWith(`| ${state}`)) ?? ''
    const [blockMs = NaN, , sweepUs = NaN, , bytes = NaN] = [...row.matchAll(/-?[\d.]+/g)].map(Number)
    // In one go, 2000 leaked sockets would take more.
    t.ok(blockMs < 40, row)
    t.ok(sweepUs > 0, row)
    t.ok(bytes < 1500, row)
  }
})
