// A peer that reuses a port whose old connection we hold in CLOSE_WAIT has to wait: its SYN gets a challenge ACK (RFC
// 5961, section 4). If the RST that follows is dropped, it fails with ETIMEDOUT.
import { formatEndpoint } from '../core/endpoint.js'
import type { PortsReport } from '../core/report.js'
import type { SocketRow } from './build.js'
import type { Condition } from '../core/vocabulary.js'

const HOLDING: readonly (Condition | null)[] = ['eof-ignored', 'eof-unread', 'fin-unseen', 'write-stalled']

export function portsHeld(rows: readonly SocketRow[]): PortsReport[] {
  const peers = new Map<string, Map<number, Set<number>>>()
  for (const row of rows) {
    const isHeld = row.direction === 'inbound' && row.verdict !== 'none' && !row.isDisconnected
    if (!isHeld || !HOLDING.includes(row.condition)) continue
    const { local, remote } = row.ends()
    if (local?.port == null || remote?.port == null) continue
    let peer = peers.get(remote.address)
    if (peer === undefined) peers.set(remote.address, (peer = new Map()))
    let ports = peer.get(local.port)
    if (ports === undefined) peer.set(local.port, (ports = new Set()))
    ports.add(remote.port)
  }
  return [...peers]
    .flatMap(([remote, peer]) =>
      [...peer].map(([localPort, ports]) => ({
        remote: formatEndpoint({ address: remote, port: null }),
        localPort,
        heldPorts: ports.size,
      })),
    )
    .sort((a, b) => b.heldPorts - a.heldPorts)
}
