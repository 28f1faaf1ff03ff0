/**
 * Port pairs held by half-closed sockets. A peer that comes back from a port whose connection we still hold in
 * CLOSE_WAIT does not get through at once: its SYN is answered by a challenge ACK (RFC 5961, section 4), and where
 * something drops the RST that follows, it fails with ETIMEDOUT.
 */
import type { Condition } from './vocabulary.js'
import type { PortsReport, SocketReport } from './report.js'

/** Conditions in which the peer has ended while our side of the connection still stands in the kernel. */
const HOLDING: readonly Condition[] = ['eof-ignored', 'eof-unread', 'fin-unseen', 'write-stalled']

/**
 * @param ephemeralPorts how many ports the peers are assumed to choose from (this machine's own
 *   `net.ipv4.ip_local_port_range`: theirs can't be seen from here)
 */
export function portsHeld(sockets: readonly SocketReport[], ephemeralPorts: number): PortsReport[] {
  const held = new Map<string, { remote: string; localPort: number; ports: Set<number> }>()
  for (const { direction, verdict, condition, kernelState, local, remote } of sockets) {
    if (direction !== 'inbound' || verdict === 'none' || condition === null || !HOLDING.includes(condition))
      continue
    if (kernelState === 'CLOSE' || local?.port == null || remote?.port == null) continue
    const key = `${remote.address} ${local.port}`
    let entry = held.get(key)
    if (entry === undefined) {
      held.set(key, (entry = { remote: remote.address, localPort: local.port, ports: new Set() }))
    }
    entry.ports.add(remote.port)
  }
  return [...held.values()]
    .map(({ remote, localPort, ports }) => ({
      remote,
      localPort,
      heldPorts: ports.size,
      collisionChance: Math.min(1, ports.size / ephemeralPorts),
    }))
    .sort((a, b) => b.heldPorts - a.heldPorts)
}
