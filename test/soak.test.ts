/** The long run in short: it prints its table, and finds no fault. */
import { join } from 'node:path'
import t from 'tap'
import { runNode } from './support/run-node.js'

t.test('a few hundred connections', { skip: process.platform !== 'linux' }, async (t) => {
  const { code, stdout, stderr } = await runNode([
    join(import.meta.dirname, 'soak', 'run.js'),
    ...['--connections', '300', '--waves', '2'],
  ])
  t.equal(code, 0, `${stdout}\n${stderr}`)
  t.match(stdout, /^\| wave \|.*\|\n\|.*\|\n\| 1 \|.*\|\n\| 2 \|.*\|\n/m)
  t.match(stdout, /flat, none missed, none closed wrongly/)
})
