/**
 * Reading objects of the application's and its libraries'. A getter or a Proxy of theirs may throw: that costs the one field
 * that was asked for, and nothing else.
 */

/** Stands in a report for a text that can't be read. */
const UNREADABLE = 'unreadable'

/** @returns `undefined` also where reading throws */
export function readField(object: object, key: PropertyKey): unknown {
  try {
    return (object as Record<PropertyKey, unknown>)[key]
  } catch {
    return undefined
  }
}

/** @returns `null` for what is no string, "unreadable" where reading throws */
export function readText(object: object, key: PropertyKey): string | null {
  try {
    const value = (object as Record<PropertyKey, unknown>)[key]
    return typeof value === 'string' ? value : null
  } catch {
    return UNREADABLE
  }
}
