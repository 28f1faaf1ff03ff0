/** Makes source maps of a few segments. */

/** `[column, source, source line, source column]`, all from 0; the column alone: code that comes from nowhere. */
export type Segment = readonly [number] | readonly [number, number, number, number]

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

function encodeNumber(value: number): string {
  let bits = value < 0 ? (-value << 1) | 1 : value << 1
  let text = ''
  do {
    text += DIGITS[(bits & 31) | (bits > 31 ? 32 : 0)]!
    bits >>>= 5
  } while (bits > 0)
  return text
}

/** @param lines of the compiled code */
export function encodeMappings(lines: readonly (readonly Segment[])[]): string {
  const last = [0, 0, 0, 0]
  return lines
    .map((segments) => {
      last[0] = 0
      return segments
        .map((segment) =>
          segment
            .map((value, i) => {
              const step = value - last[i]!
              last[i] = value
              return encodeNumber(step)
            })
            .join(''),
        )
        .join(',')
    })
    .join(';')
}

/** A map in which each line comes from the line of the same number, or as `lines` say. */
export function mapOf(
  sources: readonly (string | null)[],
  lines: readonly (readonly Segment[])[],
  more: object = {},
): string {
  return JSON.stringify({ version: 3, names: [], sources, mappings: encodeMappings(lines), ...more })
}
