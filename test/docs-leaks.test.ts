/**
 * Runs every program of docs/leaks.md: the leaking one must be found under its name, with its owner and the very words
 * that the page shows; the fixed one must leave nothing to be found.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CONDITIONS, type Condition } from '../src/index.js'
import { LeakProgram } from './support/leak-program.js'
import { LEAK_SCENES } from './support/leak-scenes.js'
import { codeBlocksOf, readDocument, sectionsOf } from './support/markdown.js'
import { Peer } from './support/peer.js'

const sections = sectionsOf(readDocument('docs/leaks.md'), 2)

function blockOf(condition: Condition, info: string): string {
  const section = sections.find(({ title }) => title === `\`${condition}\``)
  const blocks = codeBlocksOf(section?.text ?? '').filter((block) => block.info === info)
  if (blocks.length !== 1)
    throw new Error(`docs/leaks.md: ${condition} has ${blocks.length} blocks "${info}"`)
  return blocks[0]!.code
}

// Some forty processes, one after the other; run without the tap command, tap would allow 30 s.
t.setTimeout(120_000)

const peer = new Peer()
t.teardown(() => peer.kill())

interface Stage {
  readonly program: LeakProgram
  /** From a port of the page, 3000 or 4000, to the one that stood for it. */
  readonly portFor: (port: string) => string
}

async function run(t: Test, condition: Condition, info: string, env: Record<string, string>): Promise<Stage> {
  const { target, visit, env: needed } = LEAK_SCENES[condition]
  const remotePort = (await target?.(peer)) ?? null
  const code = blockOf(condition, info)
    .replaceAll(/\b3000\b/g, '0')
    .replaceAll(/\b4000\b/g, String(remotePort))
  const directory = t.testdir({ 'program.mjs': code })
  const program = new LeakProgram(join(directory, 'program.mjs'), { ...env, ...needed })
  t.teardown(() => program.kill())
  const ownPort = visit === undefined ? null : (await program.saw('listening')).port
  // What the visitor still waits for when the test is over does not matter any more.
  if (ownPort !== null) void visit?.(peer, ownPort, program).catch(() => {})
  return { program, portFor: (port) => String(port === '3000' ? ownPort : remotePort) }
}

/** What differs from run to run: ports, times, amounts, and what is known of the peer. */
function normalized(text: string): string {
  return (
    text
      .replaceAll(/\s+/g, ' ')
      .replaceAll(/ \(peer (alive|gone|unknown): .*?\)(?=[.,])/g, '')
      .replaceAll('[::ffff:127.0.0.1]', '127.0.0.1')
      .replaceAll(/:\d{4,5}\b/g, ':PORT')
      .replaceAll(/\b\d+ (ms|s|min|h)( \d+ (s|min))?\b/g, 'TIME')
      .replaceAll(/\b\d+(\.\d+)? (B|KB|MB)\b/g, 'AMOUNT')
      // A connection that is closed on both sides has no address any more, unless a look came before the end.
      .replace(/ from 127\.0\.0\.1:PORT(?=: both sides are closed)/, '')
      .trim()
  )
}

t.test('every condition has its section', async (t) => {
  t.same(
    // "HTTP/2" is a kind, "Stalled" a verdict.
    sections.map(({ title }) => title).filter((title) => title.startsWith('`')),
    CONDITIONS.map((condition) => `\`${condition}\``),
  )
})

for (const condition of CONDITIONS) {
  const { site, verdict = 'leaked', needsKernel = false } = LEAK_SCENES[condition]
  const skip = needsKernel && process.platform !== 'linux' && 'only the kernel could tell'

  t.test(`${condition}: the report names it`, { skip }, async (t) => {
    const { program, portFor } = await run(t, condition, 'js leak', { GRACE_MS: '400', SWEEP_MS: '50' })
    const { socket } = await program.sawVerdict(verdict)
    t.equal(socket.condition, condition)
    t.equal(socket.owner.site, site.replaceAll(/[34]000/g, portFor))
    const said = `${socket.verdict.toUpperCase()} ${socket.diagnosis}`
    t.equal(normalized(said), normalized(blockOf(condition, 'text')), said)
    t.match(
      (await program.report()).totals,
      verdict === 'dead' ? { dead: 1, leaked: 0 } : { leaked: 1, dead: 0 },
    )
  })

  t.test(`${condition}: the fix leaves nothing to report`, { skip }, async (t) => {
    const env = { GRACE_MS: '6000', SWEEP_MS: '50', RECLAIM_DEAD: 'false' }
    const { program } = await run(t, condition, 'js fix', env)
    const first = await program.saw('opened')
    await Promise.race([
      program.saw('closed', ({ id }) => id === first.id),
      program.sawVerdict('leaked').then(({ socket }) => t.fail(socket.diagnosis)),
    ])
    t.match((await program.report()).totals, { tracked: 0, leaked: 0, recovered: 0, reclaimed: 0, dead: 0 })
  })
}
