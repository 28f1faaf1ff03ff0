/** The demonstration as a stranger meets it: the whole story, and every way to end it early. */
import { once } from 'node:events'
import net from 'node:net'
import t, { type Test } from 'tap'
import { Program } from '../support/program.js'
import { until } from '../support/until.js'

/** Long enough for a slow machine to reset a connection before it is called leaked. */
const GRACE = ['--grace', '4']
const UNREAD = '(?:eof-unread|fin-unseen|window-closed)'

const SCENES = 10

t.jobs = 4

function startDemo(t: Test, ...args: string[]): Program {
  const program = new Program('demo', args)
  t.teardown(() => program.kill())
  return program
}

async function nothingIsLeft(program: Program): Promise<void> {
  await until(() => program.processes().length === 0, 'its processes have ended')
}

/** A line of the story about one verdict. */
function told(verdict: string, condition: string, rest: string): RegExp {
  return new RegExp(`^ +\\d:\\d\\d  ${verdict} +#\\d+ +${condition} +${rest}`, 'm')
}

t.test('the whole story, on another port', { buffered: true }, async (t) => {
  const other = net.createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as net.AddressInfo
  const program = startDemo(t, '--once', '--port', `${port}`, ...GRACE)
  const { code, signal, stdout, stderr } = await program.ended
  t.same({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })

  const [, reportPort] = /^ {2}report +http:\/\/127\.0\.0\.1:(\d+)\/ /m.exec(stdout) ?? []
  t.not(Number(reportPort), port)
  t.match(stdout, `Port ${port} is taken`)

  for (const line of [
    told('leaked', 'eof-ignored', 'upgrade /chat'),
    told('dead', 'reset-unseen', 'proven dead'),
    told('leaked', 'eof-unread', 'upgrade /events'),
    told('leaked', 'closed-unread', 'upgrade /admin'),
    told('leaked', 'fin-wait', 'upgrade /admin'),
    told('leaked', 'write-stalled', 'GET /export'),
    told('leaked', UNREAD, 'POST /upload/:name'),
    // With context (Node 24 and later) it is named by the request that it was opened for.
    told('leaked', UNREAD, '(?:GET /quote|.*application\\.ts:\\d+) → 127\\.0\\.0\\.1:\\d+'),
    told('leaked', UNREAD, 'upgrade /live'),
    told('leaked', 'self-connected', '.*application\\.ts:\\d+ → 127\\.0\\.0\\.1:\\d+'),
    told('reclaimed', 'eof-ignored', 'closed by the guard'),
    told('reclaimed', 'closed-unread', 'closed by the guard'),
    told('reclaimed', 'fin-wait', 'closed by the guard'),
    told('reclaimed', 'write-stalled', 'closed by the guard'),
    told('reclaimed', 'self-connected', 'closed by the guard'),
    // It may be read to its end, and closed, before the next sweep sees it open.
    told('recovered', '(?:open|fin-unseen)', 'put right'),
  ]) {
    t.match(stdout, line)
  }
  const suspects = stdout.matchAll(/^ +\d:\d\d {2}suspect +(#\d+)/gm)
  t.ok(new Set(Array.from(suspects, ([, id]) => id)).size <= SCENES, 'nothing healthy was suspected')
  t.match(stdout, /^socket-leak-guard: 3 leaked, 0 suspect/m)
  t.match(stdout, /^since start: 1 recovered, 5 reclaimed, 1 dead$/m)
  t.match(stdout.replaceAll(/\s+/g, ' '), 'Of 10 connections that went wrong, 10 came to light')
  t.match(stdout, /^ {2}Meanwhile [1-9]\d* healthy requests/m)
  t.match(stdout, /none is left over\.$/m)
  t.same(
    stdout.split('\n').filter((line) => line.length > 80 || /\p{Cc}/u.test(line)),
    [],
    'at most 80 columns, no control characters',
  )
  await nothingIsLeft(program)
})

t.test('Ctrl-C in the middle', { buffered: true }, async (t) => {
  const program = startDemo(t, '--port', '0')
  await program.printed(/suspect/)
  t.ok(program.processes().length >= 2, 'the peers are a process of their own')
  program.child.kill('SIGINT')
  const { code, stdout, stderr } = await program.ended
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /none is left over\.$/m)
  await nothingIsLeft(program)
})

t.test('npm start is killed: the shell dies, and tells nobody', { buffered: true }, async (t) => {
  const asNpmDoes = 'npm_lifecycle_event=start "$@"; exit $?'
  const program = new Program('demo', ['--port', '0'], ['/bin/sh', '-c', asNpmDoes, 'sh'])
  t.teardown(() => program.kill())
  await program.printed(/suspect/)
  program.child.kill('SIGKILL')
  const { signal, stdout, stderr } = await program.ended
  t.same({ signal, stderr }, { signal: 'SIGKILL', stderr: '' })
  t.match(stdout, /none is left over\.$/m)
  await nothingIsLeft(program)
})

t.test('the peers die', { buffered: true }, async (t) => {
  const program = startDemo(t, '--port', '0')
  const [, pid] = await program.printed(/^ {2}peers .*\((\d+)\)/m)
  await program.printed(/suspect/)
  process.kill(Number(pid), 'SIGKILL')
  const { code, stdout, stderr } = await program.ended
  t.same({ code, stderr }, { code: 1, stderr: '' }, 'the story was not told')
  t.match(stdout, /^The peers are gone \(SIGKILL\)/m)
  t.match(stdout, /none is left over\.$/m)
  await nothingIsLeft(program)
})

t.test('nobody reads what it prints any more', { buffered: true }, async (t) => {
  const program = startDemo(t, '--port', '0')
  await program.printed(/What the guard sees/)
  program.child.stdout?.destroy()
  const { code, stderr } = await program.ended
  t.same({ code, stderr }, { code: 0, stderr: '' })
  await nothingIsLeft(program)
})

t.test(
  'without a view of the kernel it says what it did not see, and goes on',
  { buffered: true },
  async (t) => {
    const program = startDemo(t, '--port', '0', '--kernel', 'off', ...GRACE)
    await program.printed(/^It goes on$/m)
    program.child.kill('SIGTERM')
    const { code, stdout, stderr } = await program.ended
    t.same({ code, stderr }, { code: 0, stderr: '' })
    t.match(stdout, /^ {2}kernel +no view/m)
    t.match(
      stdout.replaceAll(/\s+/g, ' '),
      'Not seen (the kernel knows, and it could not be asked): /upload, /quote, /live.',
    )
    t.match(stdout, /none is left over\.$/m)
    await nothingIsLeft(program)
  },
)

t.test('options that mean nothing', { buffered: true }, async (t) => {
  const [help, wrong] = [startDemo(t, '--help'), startDemo(t, '--grace', 'soon')]
  t.match(await help.ended, { code: 0, stdout: /^Usage: npm start/ })
  t.match(await wrong.ended, { code: 2, stdout: /^--grace must be an integer from 3 to 60, got "soon"/ })
})
