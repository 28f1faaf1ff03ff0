import { BlockList, isIP } from 'node:net'
import { resolve } from 'node:path'
import { SocketLeakGuardError, describeValue } from '../base/errors.js'
import { invalidOption } from '../options/rules.js'

export interface TcpReportAddress {
  readonly kind: 'tcp'
  readonly host: string
  readonly port: number
}

export interface UnixReportAddress {
  readonly kind: 'unix'
  readonly path: string
}

export type ReportAddress = TcpReportAddress | UnixReportAddress

const LOOPBACK = '127.0.0.1'
const EXPECTED =
  'an address such as "127.0.0.1:9465", "[::1]:9465", "localhost:9465", "9465" or "unix:/run/app.sock" (%p there stands for the process id, %t for that of the thread)'

/** unix(7); sys/un.h on macOS and the BSDs; less the closing zero. */
const MAX_UNIX_PATH_BYTES = process.platform === 'linux' ? 107 : 103

/** A port alone, and `localhost`, mean 127.0.0.1. Throws `SLG_ERR_INVALID_OPTION`. */
export function parseReportAddress(text: string): ReportAddress {
  if (typeof text !== 'string') throw invalid(text)
  if (text.startsWith('unix:')) return parseUnixAddress(text)
  if (/^\d+$/.test(text)) return { kind: 'tcp', host: LOOPBACK, port: parsePort(text, text) }
  const [, bracketed, name = '', port = ''] = /^(?:\[([^\]]+)\]|([^\s:/\\[\]@?#]+)):(\d+)$/.exec(text) ?? []
  const host = bracketed ?? name
  if (bracketed !== undefined ? isIP(bracketed) !== 6 : !isHostName(name)) throw invalid(text)
  const isLocal = host.toLowerCase() === 'localhost'
  return { kind: 'tcp', host: isLocal ? LOOPBACK : host, port: parsePort(port, text) }
}

export function requiresToken(address: ReportAddress): boolean {
  return address.kind === 'tcp' && !isLoopbackAddress(address.host)
}

export function formatReportAddress(address: ReportAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

function threadId(): number {
  return process.getBuiltinModule?.('node:worker_threads').threadId ?? 0
}

export function isWindowsPipe(path: string): boolean {
  return process.platform === 'win32' && /^\\\\[.?]\\pipe\\/i.test(path)
}

function parseUnixAddress(text: string): UnixReportAddress {
  const named = text
    .slice('unix:'.length)
    .replaceAll('%p', String(process.pid))
    .replaceAll('%t', () => String(threadId()))
  if (named === '' || named.includes('\0')) throw invalid(text)
  if (isWindowsPipe(named)) return { kind: 'unix', path: named }
  // The application may change its directory before the file is unlinked.
  const path = resolve(named)
  const bytes = Buffer.byteLength(path)
  if (process.platform === 'win32' || bytes <= MAX_UNIX_PATH_BYTES) return { kind: 'unix', path }
  const expected = `a unix socket whose absolute path has at most ${MAX_UNIX_PATH_BYTES} bytes`
  throw new SocketLeakGuardError('SLG_ERR_INVALID_OPTION', `report must name ${expected}, got ${bytes} bytes`)
}

function isHostName(name: string): boolean {
  return isIP(name) === 4 || (/^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/i.test(name) && !/^[\d.]+$/.test(name))
}

function parsePort(digits: string, text: string): number {
  const port = Number(digits)
  if (port > 65535) throw invalid(text)
  return port
}

function invalid(value: unknown): SocketLeakGuardError {
  return invalidOption('report', EXPECTED, describeValue(value))
}

/** A name may resolve to anything, so it does not count. */
export function isLoopbackAddress(address = ''): boolean {
  const version = isIP(address)
  // BlockList does not parse a zone (fe80::1%eth0), which marks a link-local address.
  if (version === 0 || address.includes('%')) return false
  // RFC 6890. BlockList recognises IPv4 addresses mapped into IPv6.
  const loopback = new BlockList()
  loopback.addSubnet('127.0.0.0', 8, 'ipv4')
  loopback.addAddress('::1', 'ipv6')
  return loopback.check(address, version === 6 ? 'ipv6' : 'ipv4')
}
