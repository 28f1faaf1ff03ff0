/**
 * A cable with a hole in it: carries Ethernet frames between two interfaces and, when told so, loses the client's RST
 * segments, as a stateful firewall between two hosts may. Started by `NetworkNamespace.start()`.
 *
 * Raw packet sockets (packet(7)) are all it takes: no packet filter, no kernel module. Reading and writing go through
 * `fs`, whose threads may block in read(2). PACKET_VNET_HDR keeps each frame's offload state with it: a segment on a
 * veth has no checksum yet, and would be thrown away on the other side without that header.
 */
import { read, write } from 'node:fs'
import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import { promisify } from 'node:util'
import { obey } from './actor.js'
import { until } from './until.js'

const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
const libc = koffi.load(null)
const socket = libc.func('int socket(int, int, int)')
const bind = libc.func('int bind(int, const void *, uint32_t)')
const setsockopt = libc.func('int setsockopt(int, int, int, const void *, uint32_t)')
const interfaceIndex = libc.func('uint32_t if_nametoindex(const char *)')

const AF_PACKET = 17
const SOCK_RAW = 3
const ETH_P_ALL = 3
const SOL_PACKET = 263
const PACKET_VNET_HDR = 15
const PACKET_IGNORE_OUTGOING = 23

const VNET_HDR_BYTES = 10
const LARGEST_FRAME_BYTES = VNET_HDR_BYTES + 14 + 65_535

const FIN = 1
const SYN = 2
const RST = 4

interface Segment {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly flags: number
}

/** Every TCP segment so far, by the port of the server, in words: `client RST lost`. */
const seen = new Map<number, string[]>()
/** Ports of servers to which no RST gets through. */
const lossy = new Set<number>()

const actions = {
  /** Begins to carry frames. */
  join(clientSide: string, serverSide: string): void {
    const client = openInterface(clientSide)
    const server = openInterface(serverSide)
    carry(client, server, 'client').catch(unplugged)
    carry(server, client, 'server').catch(unplugged)
  },
  loseResetsTo: (port: number): void => void lossy.add(port),
  seen: (port: number): string[] => seen.get(port) ?? [],
  /** Until so many RST segments on their way to this port were lost. */
  untilLost: (port: number, count: number) =>
    until(() => (seen.get(port) ?? []).filter((word) => word === LOST).length >= count, `${count} RST lost`),
}

const LOST = 'client RST lost'

function openInterface(name: string): number {
  const fd = check(socket(AF_PACKET, SOCK_RAW, 0), 'socket')
  const on = new Int32Array([1])
  check(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, on, 4), 'setsockopt(PACKET_VNET_HDR)')
  check(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, on, 4), 'setsockopt(PACKET_IGNORE_OUTGOING)')
  check(bind(fd, linkAddress(interfaceIndex(name)), 20), `bind to ${name}`)
  return fd
}

function check(result: number, call: string): number {
  if (result === -1) throw new Error(`${call} failed: errno ${koffi.errno()}`)
  return result
}

/** struct sockaddr_ll; the protocol is in network order, the rest in the host's. */
function linkAddress(index: number): Buffer {
  const address = Buffer.alloc(20)
  new Uint16Array(address.buffer, address.byteOffset, 1)[0] = AF_PACKET
  address.writeUInt16BE(ETH_P_ALL, 2)
  if (endianness() === 'LE') address.writeInt32LE(index, 4)
  else address.writeInt32BE(index, 4)
  return address
}

async function carry(from: number, to: number, side: 'client' | 'server'): Promise<never> {
  const frame = Buffer.alloc(LARGEST_FRAME_BYTES)
  for (;;) {
    const { bytesRead } = await promisify(read)(from, frame, 0, frame.length, null)
    if (isCarried(frame.subarray(VNET_HDR_BYTES, bytesRead), side)) {
      await promisify(write)(to, frame, 0, bytesRead)
    }
  }
}

/** A host that is taken down takes its end of the cable along. */
function unplugged(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENETDOWN' && error.code !== 'ENXIO') throw error
}

function isCarried(frame: Buffer, side: 'client' | 'server'): boolean {
  const segment = tcpSegmentOf(frame)
  if (segment === null) return true
  const { sourcePort, destinationPort, flags } = segment
  const port = side === 'client' ? destinationPort : sourcePort
  const isLost = side === 'client' && (flags & RST) !== 0 && lossy.has(port)
  const words = seen.get(port) ?? []
  seen.set(port, words)
  words.push(isLost ? LOST : `${side} ${nameOf(flags)}`)
  return !isLost
}

function tcpSegmentOf(frame: Buffer): Segment | null {
  const isIpv4Tcp = frame.length >= 34 && frame.readUInt16BE(12) === 0x0800 && frame[23] === 6
  if (!isIpv4Tcp) return null
  const tcp = frame.subarray(14 + (frame[14]! & 0x0f) * 4)
  if (tcp.length < 20) return null
  return { sourcePort: tcp.readUInt16BE(0), destinationPort: tcp.readUInt16BE(2), flags: tcp[13]! }
}

/** The flag that matters; an ACK is on nearly everything. */
function nameOf(flags: number): string {
  if ((flags & RST) !== 0) return 'RST'
  if ((flags & SYN) !== 0) return 'SYN'
  return (flags & FIN) !== 0 ? 'FIN' : 'ACK'
}

export type FrameBridge = typeof actions

obey(actions)
