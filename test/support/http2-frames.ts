/** HTTP/2 as a peer writes it that does only what a test wants (RFC 9113, RFC 7541). */

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer | readonly number[] = [],
): Buffer {
  const body = Buffer.from(payload)
  const head = Buffer.alloc(9)
  head.writeUIntBE(body.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, body])
}

export const SETTINGS = frame(4, 0, 0)
export const HELLO = Buffer.concat([PREFACE, SETTINGS])
/** The windows of streams and of the connection, as wide as they can be. */
export const WIDE = Buffer.concat([
  frame(4, 0, 0, [0, 4, 0x7f, 0xff, 0xff, 0xff]),
  frame(8, 0, 0, [0x7f, 0, 0, 0]),
])
export const HELLO_WIDE = Buffer.concat([PREFACE, WIDE])

/** A whole GET request. */
export function get(path: string, stream = 1): Buffer {
  const authority = 'peer.test'
  // :method GET and :scheme http from the static table, :path and :authority as they are.
  const block = Buffer.from([
    0x82,
    0x86,
    0x04,
    path.length,
    ...Buffer.from(path),
    0x01,
    authority.length,
    ...Buffer.from(authority),
  ])
  return frame(1, 5, stream, block)
}
