/**
 * Breaks `text` into lines of at most `width` code points: at spaces where it can, inside a word where it must. Expects
 * printable text (see `printable.ts`). There is one line at least.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line: string[] = []
  for (const word of text.split(' ')) {
    const points = Array.from(word)
    if (line.length > 0 && line.length + 1 + points.length <= width) {
      line.push(' ', ...points)
      continue
    }
    if (line.length > 0) lines.push(line.join(''))
    line = points
    while (line.length > width) lines.push(line.splice(0, width).join(''))
  }
  if (line.length > 0 || lines.length === 0) lines.push(line.join(''))
  return lines
}
