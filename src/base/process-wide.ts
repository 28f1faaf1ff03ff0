// State shared by all copies of the package in a thread: two versions, or modules loaded anew for each test file. It
// sits on `net.Socket` under a registered symbol, because Node's modules are shared by module registries and `vm`
// contexts, and `globalThis` is not.
import { Socket } from 'node:net'

export function readProcessWide(name: string): unknown {
  return (Socket as unknown as Record<symbol, unknown>)[slotOf(name)]
}

export function writeProcessWide(name: string, value: unknown): boolean {
  if (value === undefined) return Reflect.deleteProperty(Socket, slotOf(name))
  return Reflect.defineProperty(Socket, slotOf(name), {
    value,
    writable: true,
    configurable: true,
    enumerable: false,
  })
}

export function markOwn(object: object): void {
  Reflect.defineProperty(object, slotOf('own'), { value: true })
}

export function isOwn(object: object): boolean {
  return slotOf('own') in object
}

function slotOf(name: string): symbol {
  return Symbol.for(`socket-leak-guard/${name}/v1`)
}
