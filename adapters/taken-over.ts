/** Kept on the server itself, so that nothing of it outlives the server. */
const RELEASE = Symbol.for('socket-leak-guard/release')

interface Guarded {
  [RELEASE]?: () => void
}

/** A second `guardServer()` for the same server replaces the first: what that one has put in place is taken back. */
export function replaceEarlier(server: object, release: () => void): void {
  ;(server as Guarded)[RELEASE]?.()
  Object.defineProperty(server, RELEASE, { value: release, configurable: true })
}

export function forgetRelease(server: object, release: () => void): void {
  if ((server as Guarded)[RELEASE] === release) delete (server as Guarded)[RELEASE]
}
