/**
 * Responses that never end by themselves: the event streams of a mounted report. They are marked, so that whoever stops
 * their server can end them.
 */
const ENDLESS = Symbol.for('socket-leak-guard/endless')

export function markEndless(response: object): void {
  Object.defineProperty(response, ENDLESS, { value: true })
}

export function isEndless(response: object): boolean {
  return ENDLESS in response
}
