/**
 * The demonstration: `npm start`, or `node build/examples/demo.js --help`.
 *
 * An ordinary Express and ws application with ordinary mistakes (`demo/application.ts`), clients in another process
 * that bring them to light over real TCP (`demo/peers.ts`), and the guard, which says what it sees. Nothing but
 * loopback is used.
 */
import { createNarrator, type Narrator } from './demo/narrator.js'
import { readOptions, type DemoOptions } from './demo/options.js'
import type { Stage } from './demo/stage.js'
import { tellStory } from './demo/story.js'
import { trickle } from './demo/trickle.js'

/** Ctrl-C may come twice at once: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MS = 500
const LOOK_FOR_SHELL_MS = 500

const options = readOptions(process.argv.slice(2))
if ('say' in options) {
  process.stdout.write(options.say)
  process.exitCode = options.exitCode
} else {
  await run(options)
}

async function run(options: DemoOptions): Promise<void> {
  const narrator = createNarrator(process.stdout)
  const stop = new AbortController()
  let stoppedMs = 0
  function onSignal(): void {
    // The second time somebody is in a hurry; the peers go when this process does.
    if (stop.signal.aborted && performance.now() - stoppedMs > SAME_SIGNAL_MS) process.exit(1)
    stoppedMs ||= performance.now()
    stop.abort()
  }
  function onPeersLost(how: string): void {
    narrator.heading(`The peers are gone (${how}): without them there is nothing to see`)
    process.exitCode = 1
    stop.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  whenShellIsGone(() => stop.abort())
  // `npm start | head`
  process.stdout.on('error', () => stop.abort())

  // Only what is loaded from now on is named by its lines in TypeScript.
  process.setSourceMapsEnabled(true)
  const { setStage } = await import('./demo/stage.js')
  const stage = await setStage(options, onPeersLost)
  try {
    introduce(stage, narrator, options)
    await tellStory(stage, narrator, stop.signal)
    if (!options.once) {
      narrator.heading('It goes on')
      narrator.say(`A fresh leak comes every few seconds: watch ${stage.reportUrl} live. Ctrl-C stops.`)
      narrator.show('')
      await trickle(stage, narrator, stop.signal)
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    await end(stage, narrator)
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

/** `npm start` runs this below a shell. A signal to npm ends the two of them, and this process hears nothing of it. */
function whenShellIsGone(onGone: () => void): void {
  if (process.env['npm_lifecycle_event'] === undefined) return
  const shell = process.ppid
  setInterval(() => {
    if (process.ppid !== shell) onGone()
  }, LOOK_FOR_SHELL_MS).unref()
}

function introduce(
  { guard, reportUrl, isElsewhere, application, peers }: Stage,
  narrator: Narrator,
  options: DemoOptions,
) {
  const { probe, reason } = guard.snapshot().kernel
  narrator.heading('socket-leak-guard: a demonstration')
  narrator.fact('report', `${reportUrl}  (open it in a browser: it is live)`)
  if (isElsewhere) narrator.fact('', `Port ${options.port} is taken, so a free one was chosen.`)
  narrator.fact('app', `127.0.0.1:${application.port}, Express and ws, in this process (${process.pid})`)
  narrator.fact('peers', `real TCP clients in a process of their own (${peers.pid}), badly behaved`)
  narrator.fact(
    'kernel',
    probe === 'none'
      ? `no view (${reason}): some of it can't be seen`
      : `asked through "${probe}", about suspects only`,
  )
  narrator.fact('grace', `${options.graceMs / 1000} s without progress, then a suspect is called leaked`)
  narrator.fact(
    'action',
    'leaked connections are ended; where unread data may still be wanted, they are only reported',
  )
}

async function end(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.heading('Stopping: no new connections, the open ones are asked to finish')
  const { ended, destroyed, left } = await stage.clear()
  narrator.say(
    `${ended} ended in good order, ${destroyed} had to be destroyed, ${left === 0 ? 'none is' : `${left} are`} left over.`,
  )
}
