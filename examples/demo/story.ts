/** Plays every scene once, waits until each connection has come to its end, and sums up. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Chronicle } from './chronicle.js'
import type { Narrator } from './narrator.js'
import { isOutcome, SCENES, type Scene } from './scenes.js'
import type { Stage } from './stage.js'

const BETWEEN_SCENES_MS = 300
/** How long the application leaves its WebSocket paused after it was called leaked. */
const LATE_RESUME_MS = 2000
/** For a very slow machine; otherwise everything is over long before. */
const PATIENCE_MS = 30_000

export async function tellStory(stage: Stage, narrator: Narrator, signal: AbortSignal): Promise<void> {
  const { guard, peers } = stage
  const chronicle = new Chronicle(guard)
  try {
    narrator.heading('What goes wrong')
    await peers.ask({ do: 'play', role: 'stay-for-feed' }, signal)
    for (const scene of SCENES) {
      narrator.fact(scene.place, scene.tale)
      await play(stage, scene, signal)
      await sleep(BETWEEN_SCENES_MS, undefined, { signal })
    }
    narrator.heading('What the guard sees')
    chronicle.follow(narrator.verdict)
    resumeLate(stage, chronicle, signal).catch(ignoreAbort)
    await Promise.race([
      Promise.all(visibleScenes(stage).map((scene) => chronicle.until((event) => isOutcome(scene, event)))),
      sleep(guard.options.graceMs + PATIENCE_MS, undefined, { signal, ref: false }),
    ])
  } finally {
    chronicle.close()
  }
  await sumUp(stage, narrator, chronicle, signal)
}

export async function play(
  { peers, application }: Stage,
  { name }: Scene,
  signal: AbortSignal,
): Promise<void> {
  if (name === 'meet-itself') application.connectToCache()
  else await peers.ask({ do: 'play', role: name }, signal)
}

/** The application wakes up by itself, but only after the guard has called its WebSocket leaked. */
async function resumeLate({ application }: Stage, chronicle: Chronicle, signal: AbortSignal): Promise<void> {
  await chronicle.until(({ type, socket }) => type === 'leaked' && socket.owner.site === 'upgrade /live')
  await sleep(LATE_RESUME_MS, undefined, { signal })
  application.resumeWebSockets()
}

export function visibleScenes({ guard }: Stage): Scene[] {
  const hasKernelView = guard.snapshot().kernel.probe !== 'none'
  return SCENES.filter(({ needsKernel }) => hasKernelView || !needsKernel)
}

async function sumUp(
  stage: Stage,
  narrator: Narrator,
  chronicle: Chronicle,
  signal: AbortSignal,
): Promise<void> {
  const { application, peers, reportUrl } = stage
  narrator.heading(`What is left, as curl '${reportUrl}?format=text' prints it`)
  const { text, error } = await peers.ask({ do: 'fetch', url: reportUrl }, signal)
  narrator.show(text ?? `no answer: ${error}`)

  const seen = SCENES.filter((scene) => chronicle.has((event) => isOutcome(scene, event)))
  const unseen = SCENES.filter((scene) => !seen.includes(scene))
  const { count = 0 } = await peers.ask({ do: 'count' }, signal)
  narrator.heading('What you saw')
  narrator.say(
    `Of ${SCENES.length} connections that went wrong, ${seen.length} came to light, stuck in ${chronicle.conditions().size} ways: ` +
      `${countOf(seen, 'reclaimed')} closed by the guard, ${countOf(seen, 'dead')} found dead, ` +
      `${countOf(seen, 'recovered')} put right by the application, ${countOf(seen, 'leaked')} still there.`,
  )
  if (unseen.length > 0) {
    const isBlind = visibleScenes(stage).length < SCENES.length
    const why = isBlind ? ' (the kernel knows, and it could not be asked)' : ''
    narrator.say(`Not seen${why}: ${unseen.map(({ place }) => place).join(', ')}.`)
  }
  narrator.say(
    `Meanwhile ${count} healthy requests were answered, and the half-closed client of /feed got ` +
      `${application.fedLines()} lines: a half-close that makes progress is left alone, for ever.`,
  )
}

function countOf(scenes: readonly Scene[], outcome: Scene['outcome']): number {
  return scenes.filter((scene) => scene.outcome === outcome).length
}

function ignoreAbort(): void {}
