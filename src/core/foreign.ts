const UNREADABLE = 'unreadable'

/** The application's getters and proxies may throw: then the field is `undefined`. */
export function readField(object: object, key: PropertyKey): unknown {
  try {
    return (object as Record<PropertyKey, unknown>)[key]
  } catch {
    return undefined
  }
}

/** Finds a library's value under a symbol that is not exported. */
export function bySymbol(object: object, description: string): unknown {
  for (const symbol of Object.getOwnPropertySymbols(object)) {
    if (symbol.description === description) return readField(object, symbol)
  }
  return undefined
}

/** `null` if it is no string, "unreadable" if reading throws. */
export function readText(object: object, key: PropertyKey): string | null {
  try {
    const value = (object as Record<PropertyKey, unknown>)[key]
    return typeof value === 'string' ? value : null
  } catch {
    return UNREADABLE
  }
}
