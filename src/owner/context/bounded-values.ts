import { readAny, readAnyText } from '../../core/foreign.js'

const MOST_VALUES = 16
const LONGEST_VALUE = 200

export function boundedValues(values: unknown): Readonly<Record<string, string>> | null {
  if (typeof values !== 'object' || values === null) return null
  const copied: [string, string][] = []
  for (const key of keysOf(values)) {
    if (copied.length === MOST_VALUES) break
    const value = boundedValue(readAnyText(values, key) ?? readAny(values, key))
    if (value !== null) copied.push([boundedText(key), value])
  }
  return copied.length === 0 ? null : Object.fromEntries(copied)
}

function keysOf(values: object): string[] {
  try {
    return Object.keys(values)
  } catch {
    // A Proxy may throw.
    return []
  }
}

export function boundedValue(value: unknown): string | null {
  if (typeof value === 'string') return boundedText(value)
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return boundedText(String(value))
  return null
}

function boundedText(text: string): string {
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE - 3)}...` : text
}
