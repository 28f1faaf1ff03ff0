/** Every example does what its first line says, exits by itself, and leaves no process behind. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { Program } from '../support/program.js'
import { until } from '../support/until.js'

const FOLDER = join(PACKAGE_ROOT, 'examples')
/** Which of the three depends on the buffers of the version of Node. */
const UNREAD = '(?:eof-unread|fin-unseen|window-closed)'

/** What Node from 22 on says of http-proxy 1.18, which calls `util._extend()`. */
const OLD_PROXY = /^\(node:\d+\) \[DEP0060\].*\n\(Use .*\n/m

// The sources are named instead of the compiled files where source maps are on, as tap has them.
// The sources are named instead of the compiled files where source maps are on, as tap has them.
const PRINTED: Readonly<Record<string, readonly RegExp[]>> = {
  'net-server': [
    /^suspect: Connection "echo" of listener :\d+ from 127\.0\.0\.1:\d+: the peer ended/m,
    /^leaked: Connection "echo" .* has not ended its side\. Call socket\.end\(\) on 'end'/m,
    /^recovered: Connection "echo" .*: has recovered; .* Nothing to do\.$/m,
    /^stopped: 1 ended in good order, 0 destroyed$/m,
  ],
  'http-upgrade': [
    /^suspect: Upgraded connection of \/chat from 127\.0\.0\.1:\d+: the peer ended/m,
    /^leaked: Upgraded connection of \/chat from .* in the upgrade handler\.$/m,
    /^reclaimed: Upgraded connection of \/chat from .*, so the guard closed it\. Call/m,
  ],
  express: [
    /^socket-leak-guard: 1 leaked, 0 suspect/m,
    new RegExp(`^POST /upload/:name +1 .* ${UNREAD} 1$`, 'm'),
    /^#\d+ leaked: HTTP connection of POST \/upload\/:name from 127\.0\.0\.1:\d+:/m,
    /req\.resume\(\)/,
  ],
  fastify: [
    /^socket-leak-guard: 1 leaked, 0 suspect/m,
    new RegExp(`^POST /upload/:name +1 .* ${UNREAD} 1$`, 'm'),
    /^#\d+ leaked: HTTP connection of POST \/upload\/:name from 127\.0\.0\.1:\d+:/m,
    /req\.resume\(\)/,
  ],
  koa: [
    /^POST \/albums\/:album\/photos\/:name$/m,
    /^HTTP connection "photos" of POST \/albums\/:album\/photos\/:name from .*req\.resume\(\)/m,
  ],
  'socket-io': [
    /^Connection of upgrade \/live from 127\.0\.0\.1:\d+: .* nobody has answered its upgrade .* in the 'upgrade' listener/m,
    /^upgrade \/socket\.io\/ chat$/m,
    /^upgrade \/live null$/m,
    /^stopped: 2 ended in good order, 0 destroyed$/m,
  ],
  ws: [
    /^WebSocket "live" of \/live from 127\.0\.0\.1:\d+: nobody has read for .*look for who has paused it/m,
    /^stopped: 0 ended in good order, 1 destroyed$/m,
  ],
  'outgoing-http': [
    /^the server says 200$/m,
    /^Outgoing HTTP connection of (?:build\/)?examples\/outgoing-http\.[jt]s:\d+ → 127\.0\.0\.1:\d+ .*: nobody has read for/m,
  ],
  'outgoing-fetch': [
    /^the server says 200$/m,
    /^Outgoing HTTP connection of (?:build\/)?examples\/outgoing-fetch\.[jt]s:\d+ → 127\.0\.0\.1:\d+ .*: nobody has read for .* body\.cancel\(\) with fetch/m,
  ],
  proxy: [
    /^suspect: Outgoing HTTP connection of GET \/feed → 127\.0\.0\.1:\d+ .*: the client .*that it served \(GET \/feed\) left/m,
    /^leaked: .* and nobody told it\. Destroy both ends/m,
    // A client that is gone before it has read all sends a reset, and its address with it.
    /^(?:Client 127\.0\.0\.1:\d+|The client) left \d+ s ago, upstream 127\.0\.0\.1:\d+ .* \(GET \/feed, tied by a pipe\)\./m,
    /^reclaimed: .*, so the guard closed it\./m,
    /^the upstream was told$/m,
  ],
  tls: [
    /^TLS connection of listener :\d+ from 127\.0\.0\.1:\d+: the peer ended/m,
    /^1 entry in the report$/m,
  ],
  'half-close': [
    /^exempt: Connection .* Exempt, the application keeps it on purpose\.$/m,
    /^count: 1 2 3 4 5 6 7 8 9 10 done$/m,
    /^think: done$/m,
    /^0 leaked, 0 reclaimed$/m,
  ],
  preload: [
    /^socket-leak-guard: 1 leaked, 0 suspect of 1 socket tracked\.$/m,
    /^listener :\d+ +1 .* eof-ignored 1$/m,
  ],
  'test-helper': [
    /^askAndListen: passed$/m,
    /^askAndForget: failed, 1 socket was left behind:$/m,
    /^ {2}- Outgoing connection of (?:build\/)?examples\/test-helper\.[jt]s:\d+ → 127\.0\.0\.1:\d+: the peer ended .* 24 B that nobody reads/m,
  ],
}

/** Not programs that show one idea. */
const OTHERS = ['demo', 'preload-app']

t.jobs = 4

t.test('every example is run here, listed in the README, and short', async (t) => {
  const names = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
  t.same(names.sort(), [...Object.keys(PRINTED), ...OTHERS].sort())
  const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8')
  for (const name of names) t.match(readme, `[${name}.ts](${name}.ts)`)
  for (const name of Object.keys(PRINTED)) {
    const lines = readFileSync(join(FOLDER, `${name}.ts`), 'utf8').split('\n')
    t.ok(lines.length <= 60, `${name}.ts has ${lines.length} lines`)
  }
})

for (const [name, patterns] of Object.entries(PRINTED)) {
  t.test(name, { buffered: true }, async (t) => {
    const program = new Program(name)
    t.teardown(() => program.kill())
    const { code, signal, stdout, stderr } = await program.ended
    for (const pattern of patterns) t.match(stdout, pattern)
    t.same({ code, signal, stderr: stderr.replace(OLD_PROXY, '') }, { code: 0, signal: null, stderr: '' })
    await until(() => program.processes().length === 0, 'its processes have ended')
  })
}
