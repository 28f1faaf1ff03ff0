/** Marks event streams, so that a drain ends them. */
const ENDLESS = Symbol.for('socket-leak-guard/endless')

export function markEndless(response: object): void {
  Object.defineProperty(response, ENDLESS, { value: true })
}

export function isEndless(response: object): boolean {
  return ENDLESS in response
}
