/** The examples of docs/fleet.md run: a cluster that serves the report of all, and what PM2 starts. */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { codeBlocksOf, readDocument } from './support/markdown.js'
import { CLI, REGISTER } from './support/package-root.js'
import { cleanEnvironment, runNode } from './support/run-node.js'
import { until } from './support/until.js'

const DOCUMENT = readDocument('docs/fleet.md')
const FOLDER = '/run/app-guard'

function example(info: string): string {
  return codeBlocksOf(DOCUMENT).find((block) => block.info === info)!.code
}

/** With a path that is short enough for a Unix socket. */
function makeFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'slg-fleet-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const CLUSTER = `
import { createServer } from 'node:net'
if (cluster.isPrimary) {
  for (const _ of [1, 2]) cluster.fork()
  process.stdin.resume().on('end', () => process.exit())
} else createServer().listen(0, '127.0.0.1')
`

t.test('a cluster in one report, on the command line and served', async (t) => {
  const [folder, elsewhere] = [makeFolder(t), makeFolder(t)]
  const served = join(elsewhere, 'all.sock')
  const [, report = ''] = /SOCKET_LEAK_GUARD_REPORT='([^']+)'/.exec(DOCUMENT) ?? []
  const code = example('js fleet').replace(FOLDER, folder).replace('127.0.0.1:9465', `unix:${served}`)
  const file = join(t.testdir({ 'cluster.mjs': code + CLUSTER }), 'cluster.mjs')
  const primary = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, '--require', REGISTER, file], {
    env: { ...cleanEnvironment(), SOCKET_LEAK_GUARD_REPORT: report.replace(FOLDER, folder) },
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  t.teardown(async () => {
    primary.stdin.end()
    await once(primary, 'exit')
  })
  await until(
    () => readdirSync(folder).length === 3 && readdirSync(elsewhere).length === 1,
    'all have opened their reports',
  )
  const title = /^socket-leak-guard: 0 leaked, 0 suspect of .* tracked in 3 of 3 processes\./
  const { stdout } = await runNode([CLI, 'report', `unix:${folder}`])
  t.match(stdout, title)
  const asked = request({ socketPath: served, path: '/?format=text', headers: { host: 'localhost' } }).end()
  const [response] = (await once(asked, 'response')) as [NodeJS.ReadableStream]
  t.match(await text(response), title)
})

t.test('what PM2 starts in cluster mode', async (t) => {
  const folder = makeFolder(t)
  const fixture = t.testdir({
    'ecosystem.config.cjs': example('js pm2').replace(FOLDER, folder),
    'app.cjs': "require('node:net').createServer().listen(0, '127.0.0.1')",
  })
  const { apps } = createRequire(import.meta.url)(join(fixture, 'ecosystem.config.cjs')) as {
    apps: [{ node_args: string[]; env: Record<string, string> }]
  }
  const [app] = apps
  // PM2 7.0, lib/God/ClusterMode.js.
  const worker = fork(join(fixture, 'app.cjs'), {
    cwd: '/',
    execArgv: app.node_args,
    env: { ...cleanEnvironment(), NODE_OPTIONS: '', pm2_env: JSON.stringify({ ...app, ...app.env }) },
  })
  t.teardown(async () => {
    worker.kill()
    await once(worker, 'exit')
  })
  await until(() => readdirSync(folder).includes(`${worker.pid}.sock`), 'it has opened its report')
  const { stdout } = await runNode([CLI, 'report', `unix:${folder}`])
  t.match(stdout, 'tracked in 1 of 1 processes')
})
