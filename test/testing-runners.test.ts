/** The examples of docs/testing.md, run by their runners: a leak fails its test alone, its code is in the message, and the runner ends. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT, REGISTER } from './support/package-root.js'
import { runNode } from './support/run-node.js'

const EXAMPLES = join(PACKAGE_ROOT, 'examples', 'test-runners')
const [MOCHA, JEST, VITEST] = ['mocha/bin/mocha.js', 'jest/bin/jest.js', 'vitest/vitest.mjs'].map((file) =>
  join(PACKAGE_ROOT, 'node_modules', file),
) as [string, string, string]

t.jobs = 3

/** What runs the example, and its clean test alone. */
const RUNNERS = {
  'node:test': [
    ['--test', 'node-test.mjs'],
    ['--test-name-pattern=ends', '--test', 'node-test.mjs'],
  ],
  tap: [['tap.mjs'], ['tap.mjs']],
  mocha: withFilter([MOCHA, '--require', './mocha-hooks.mjs', 'mocha.mjs'], '--grep'),
  jest: withFilter(['--experimental-vm-modules', JEST, '--config', 'jest.config.json'], '-t'),
  vitest: withFilter([VITEST, 'run', '--config', 'vitest.config.mjs'], '-t'),
} satisfies Record<string, [whole: readonly string[], clean: readonly string[]]>

function withFilter(args: readonly string[], flag: string): [readonly string[], readonly string[]] {
  return [args, [...args, flag, 'ends']]
}

for (const [runner, [whole, clean]] of Object.entries(RUNNERS)) {
  t.test(runner, { buffered: true }, async (t) => {
    const options = { cwd: EXAMPLES, isBare: true }
    const leaky = await runNode(whole, options)
    const said = leaky.stdout + leaky.stderr
    t.equal(leaky.code, 1, said)
    t.match(said, '1 socket was left behind:', 'by one of its tests')
    t.match(said, "leaky.mjs:7 - socket.on('data', function keepReading() {})")
    t.notMatch(said, 'leaksFound', 'and no code of the helper')
    const { code, stdout, stderr } = await runNode(clean, { ...options, env: { TAP_GREP: '/ends/' } })
    t.equal(code, 0, stdout + stderr)
  })
}

/** Run twice by each of the runners below. The sockets that it leaks stay. */
const VISITOR = `
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import net from 'node:net'
import { threadId } from 'node:worker_threads'
import { install, installedGuard } from 'socket-leak-guard'

export async function visit() {
  const present = installedGuard()
  const guard = install({ graceMs: 1, sweepMs: 60_000 })
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect(server.address().port, '127.0.0.1').end()
  guard.exempt(client)
  const [socket] = await once(server, 'connection')
  socket.resume().unref()
  await once(socket, 'end')
  client.destroy()
  server.close()
  while (guard.adapter.describe(socket).verdict !== 'leaked') {
    guard.sweep()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  // Node's modules are the same ones in every registry.
  net.Socket.visits ??= { copies: new Set(), patched: net.Socket.prototype.push }
  net.Socket.visits.copies.add(install)
  const told = {
    runner: process.env.RUNNER,
    place: [process.pid, threadId].join(),
    wasThere: present !== null,
    isSame: present === null || (present === guard && net.Socket.prototype.push === net.Socket.visits.patched),
    copies: net.Socket.visits.copies.size,
    leaked: guard.snapshot().totals.leaked,
  }
  appendFileSync(process.env.VISITS, JSON.stringify(told) + '\\n')
}
`

interface Visit {
  readonly runner: string
  readonly place: string
  readonly wasThere: boolean
  readonly isSame: boolean
  readonly copies: number
  readonly leaked: number
}

function readVisits(folder: string, runner: string): Omit<Visit, 'runner'>[] {
  return readFileSync(join(folder, 'visits'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Visit)
    .filter((visit) => visit.runner === runner)
    .map(({ runner: _, ...visit }) => visit)
}

function visitors(runner: string): Record<string, string> {
  const source = `import { test } from '${runner}'\nimport { visit } from './visit.mjs'\ntest('visits', visit)\n`
  return { 'visit.mjs': VISITOR, 'first.test.mjs': source, 'second.test.mjs': source }
}

t.test('jest: one guard for the module registries and contexts of all test files', async (t) => {
  for (const preload of [[], ['--require', REGISTER]]) {
    const config = { testMatch: ['**/*.test.mjs'], moduleFileExtensions: ['mjs', 'js'], transform: {} }
    const folder = t.testdir({ ...visitors('@jest/globals'), 'jest.config.json': JSON.stringify(config) })
    const { code, stderr } = await runNode(
      [...preload, '--experimental-vm-modules', JEST, '--runInBand', '--rootDir', folder],
      { cwd: folder, isBare: true, env: { RUNNER: 'jest', VISITS: join(folder, 'visits') } },
    )
    t.equal(code, 0, stderr)
    const [first, second] = readVisits(folder, 'jest')
    t.match(first, { wasThere: preload.length > 0, isSame: true, copies: 1, leaked: 1 })
    t.match(second, { place: first?.place, wasThere: true, isSame: true, copies: 2, leaked: 2 })
  }
})

t.test('vitest: one guard in each of its threads and processes', async (t) => {
  const pools = ['threads', 'forks']
  const projects = pools.map((pool) => ({
    test: { name: pool, pool, maxWorkers: 1, include: ['*.test.mjs'], env: { RUNNER: pool } },
  }))
  const folder = t.testdir({
    ...visitors('vitest'),
    'vitest.config.mjs': `export default ${JSON.stringify({ test: { projects } })}`,
  })
  const { code, stdout, stderr } = await runNode([VITEST, 'run', '--root', folder], {
    cwd: folder,
    isBare: true,
    env: { VISITS: join(folder, 'visits') },
  })
  t.equal(code, 0, stdout + stderr)
  const alone = { wasThere: false, copies: 1, leaked: 1 }
  for (const pool of pools) {
    const visits = readVisits(folder, pool)
    t.match(visits, [alone, alone], pool)
    t.not(visits[0]?.place, visits[1]?.place)
  }
})
