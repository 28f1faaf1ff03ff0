/**
 * Breaks `text` into lines of at most `width` code points (the first may have `firstWidth`): at spaces where it can,
 * inside a word where it must. Expects printable text (see `printable.ts`). Always returns at least one line.
 */
export function wrap(text: string, width: number, firstWidth = width): string[] {
  const lines: string[] = []
  let line: string[] = []
  for (const word of text.split(' ')) {
    const room = lines.length === 0 ? firstWidth : width
    const points = Array.from(word)
    if (line.length > 0 && line.length + 1 + points.length <= room) {
      line.push(' ', ...points)
      continue
    }
    if (line.length > 0) lines.push(line.join(''))
    line = points
    while (line.length > (lines.length === 0 ? firstWidth : width))
      lines.push(line.splice(0, lines.length === 0 ? firstWidth : width).join(''))
  }
  if (line.length > 0 || lines.length === 0) lines.push(line.join(''))
  return lines
}
