import { clearTimeout, setTimeout } from '../real-time.js'

/** A time that runs out once. Keeps the process alive: somebody waits for it. */
export interface TimeLimit {
  readonly over: Promise<void>
  readonly isOver: boolean
  cancel(): void
}

export function startTimeLimit(ms: number): TimeLimit {
  let isOver = false
  let timer: NodeJS.Timeout
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      isOver = true
      resolve()
    }, ms)
  })
  return {
    over,
    get isOver() {
      return isOver
    },
    cancel: () => clearTimeout(timer),
  }
}

/** Waits for the event, but no longer than that. */
export async function within(ms: number, event: Promise<void>): Promise<void> {
  const timer = startTimeLimit(ms)
  await Promise.race([event, timer.over])
  timer.cancel()
}
