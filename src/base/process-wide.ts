/**
 * What all copies of the package in a thread have in common: two versions, the preload beside `import`, a test runner that
 * loads modules anew for each file. It is kept on the class that the guard patches, under a registered symbol: Node's own
 * modules are the same in every module registry and `vm` context, `globalThis` is not.
 */
import { Socket } from 'node:net'

export function readProcessWide(name: string): unknown {
  return (Socket as unknown as Record<symbol, unknown>)[slotOf(name)]
}

/** @returns `false` where the class is frozen */
export function writeProcessWide(name: string, value: unknown): boolean {
  if (value === undefined) return Reflect.deleteProperty(Socket, slotOf(name))
  return Reflect.defineProperty(Socket, slotOf(name), {
    value,
    writable: true,
    configurable: true,
    enumerable: false,
  })
}

/** Marks what belongs to a guard and not to the application. */
export function markOwn(object: object): void {
  Reflect.defineProperty(object, slotOf('own'), { value: true })
}

export function isOwn(object: object): boolean {
  return slotOf('own') in object
}

function slotOf(name: string): symbol {
  return Symbol.for(`socket-leak-guard/${name}/v1`)
}
