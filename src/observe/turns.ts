import { setImmediate } from '../real-time.js'

/**
 * Counts turns of the event loop, but only while somebody asks: two looks with the same number may have been taken
 * before libuv had a chance to deliver what it already knew.
 */
export function createTurnCounter(): () => number {
  let turn = 0
  let counting = false

  function onNextTurn(): void {
    turn += 1
    counting = false
  }

  return function currentTurn(): number {
    if (!counting) {
      counting = true
      // Two immediates apart lies one whole poll phase.
      setImmediate(() => setImmediate(onNextTurn).unref()).unref()
    }
    return turn
  }
}
