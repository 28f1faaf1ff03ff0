/** One end of a connection. A pipe has a path and no port. */
export interface Endpoint {
  readonly address: string
  readonly port: number | null
}

/** `127.0.0.1:3000`, `[::1]:3000`, or the path of a pipe. */
export function formatEndpoint({ address, port }: Endpoint): string {
  // An IPv4 peer of a dual-stack listener (RFC 4291, section 2.5.5.2).
  const plain = address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
  if (port === null) return plain
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`
}
