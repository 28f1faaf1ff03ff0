import { setTimeout as sleep } from 'node:timers/promises'
import type { Narrator } from './narrator.js'
import type { Stage } from './stage.js'
import { play, visibleScenes } from './story.js'

const BETWEEN_LEAKS_MS = 8000
const STATUS_MS = 1000
/** Where the status is not written over itself, one line has to last. */
const STATUS_IN_FILE_MS = 60_000

/** A fresh leak now and then, of a kind that does not stay, so that the report in a browser has something to tell. */
export async function trickle(stage: Stage, narrator: Narrator, signal: AbortSignal): Promise<void> {
  const { guard, application } = stage
  const passing = visibleScenes(stage).filter(({ outcome }) => outcome !== 'leaked')
  const stopListening = guard.subscribe(({ type, socket }) => {
    if (type === 'leaked' && socket.owner.site === 'upgrade /live') application.resumeWebSockets()
  })
  const status = setInterval(
    () => {
      const { suspect, leaked, recovered, reclaimed, dead } = guard.snapshot().totals
      narrator.status(
        `now ${leaked} leaked, ${suspect} suspect; so far ${reclaimed} reclaimed, ${dead} dead, ${recovered} recovered`,
      )
    },
    narrator.isTerminal ? STATUS_MS : STATUS_IN_FILE_MS,
  )
  try {
    for (let i = 0; ; i += 1) {
      await play(stage, passing[i % passing.length]!, signal)
      await sleep(BETWEEN_LEAKS_MS, undefined, { signal })
    }
  } finally {
    clearInterval(status)
    stopListening()
  }
}
