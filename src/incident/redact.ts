import { isIP } from 'node:net'

/** What could be an IP address, with letters and digits around it. */
const CANDIDATES = /[0-9A-Za-z_.:%-]*[0-9A-Fa-f][.:][0-9A-Za-z_.:%-]*/g
const PORT = /:\d+$/

/** A copy in which each IP address but loopback is a name (`ip-1`), the same one throughout. */
export function redactAddresses<T>(report: T): T {
  const names = new Map<string, string>()

  function nameOf(address: string): string {
    if (address === '::1' || address.startsWith('127.')) return address
    const name = names.get(address) ?? `ip-${names.size + 1}`
    names.set(address, name)
    return name
  }

  /** `10.0.0.5`, `10.0.0.5:443`, `::1`; ends of sentences stay. */
  function replace(found: string): string {
    const text = found.replace(/[.:]+$/, '')
    const rest = found.slice(text.length)
    for (const end of ['', PORT.exec(text)?.[0] ?? '']) {
      const address = text.slice(0, text.length - end.length)
      if (isIP(address) !== 0) return nameOf(address) + end + rest
    }
    return found
  }

  function redact(value: unknown): unknown {
    if (typeof value === 'string') return value.replaceAll(CANDIDATES, replace)
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map(redact)
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [redact(key), redact(part)]))
  }

  return redact(report) as T
}
