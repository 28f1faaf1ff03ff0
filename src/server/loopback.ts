import { BlockList, isIP } from 'node:net'

/** RFC 6890: 127.0.0.0/8 and ::1. `BlockList` also recognizes an IPv4 address that is mapped into IPv6. */
const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Is this the text of an IP address that reaches this machine only? A name never is: it may resolve to anything. */
export function isLoopbackAddress(address: string | undefined): boolean {
  const version = address === undefined ? 0 : isIP(address)
  // A zone (fe80::1%eth0) marks a link-local address, and BlockList does not parse it.
  if (address === undefined || version === 0 || address.includes('%')) return false
  return loopback.check(address, version === 6 ? 'ipv6' : 'ipv4')
}
