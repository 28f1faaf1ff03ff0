import { readFileSync } from 'node:fs'

/** IANA's range (RFC 6335, section 6), which macOS and Windows use. */
const IANA_EPHEMERAL_PORTS = 65_535 - 49_152 + 1

let count: number | undefined

/** How many ports this machine's outgoing connections choose from (`net.ipv4.ip_local_port_range` on Linux). Read once. */
export function ephemeralPortCount(): number {
  return (count ??= readCount())
}

function readCount(): number {
  try {
    const [low, high] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
      .trim()
      .split(/\s+/)
      .map(Number)
    if (low !== undefined && high !== undefined && high >= low) return high - low + 1
  } catch {
    // Not Linux, or /proc is closed to us.
  }
  return IANA_EPHEMERAL_PORTS
}
