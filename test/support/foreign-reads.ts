/** Who reads a property of a foreign object? Node may, and the package may find that it throws. */
import { join } from 'node:path'
import { PACKAGE_ROOT } from './package-root.js'

/** With source maps a stack names the sources. */
const OWN_CODE = ['src', 'adapters', 'build/src', 'build/adapters'].map((folder) =>
  join(PACKAGE_ROOT, folder),
)

/** Calls `onRead` when the package's own code reads one of these properties; what that throws, the reader gets. */
export function watchReads(object: object, keys: Iterable<string>, onRead: (key: string) => void): void {
  for (const key of keys) watchRead(object, key, onRead)
}

/** All that it has, those that it inherits included. */
export function keysOf(object: object): Set<string> {
  const all = new Set<string>()
  for (let level: object | null = object; level !== null && level !== Object.prototype;) {
    for (const key of Object.getOwnPropertyNames(level)) all.add(key)
    level = Object.getPrototypeOf(level) as object | null
  }
  all.delete('constructor')
  return all
}

function watchRead(object: object, key: string, onRead: (key: string) => void): void {
  const before = Object.getOwnPropertyDescriptor(object, key)
  if (before?.configurable === false) return
  let own = before
  const inherited = Object.getPrototypeOf(object) as object
  Object.defineProperty(object, key, {
    configurable: true,
    enumerable: before?.enumerable ?? false,
    get() {
      if (isReadByUs()) onRead(key)
      if (own === undefined) return Reflect.get(inherited, key, object) as unknown
      return own.get === undefined ? (own.value as unknown) : (own.get.call(object) as unknown)
    },
    set(value: unknown) {
      if (own?.set !== undefined) own.set.call(object, value)
      else own = { value, writable: true, enumerable: true, configurable: true }
    },
  })
}

function isReadByUs(): boolean {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 4
  const place = new Error().stack?.split('\n')[3] ?? ''
  Error.stackTraceLimit = stackTraceLimit
  return OWN_CODE.some((folder) => place.includes(folder))
}
