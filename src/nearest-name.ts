/**
 * The name that somebody most likely meant: for "did you mean ...?".
 */

/** Beyond this length a name is no slip of the finger, and the work would grow with its square. */
const LONGEST_NAME = 64

/** The shortest fragment that counts as a part of a name; "ms" is in half of them. */
const SHORTEST_FRAGMENT = 3

/**
 * The one of `names` that is nearest to `name`, upper and lower case alike; the first of equals. `names` is
 * not empty.
 */
export function nearestName(name: string, names: readonly string[]): string {
  const wanted = name.slice(0, LONGEST_NAME).toLowerCase()
  let nearest = ''
  let shortest = Infinity
  for (const candidate of names) {
    const distance = distanceBetween(wanted, candidate.toLowerCase())
    if (distance < shortest) {
      nearest = candidate
      shortest = distance
    }
  }
  return nearest
}

/**
 * Edits, but a fragment is never farther than three: "timeout" for userTimeoutMs is six edits away and yet no
 * doubt what was meant, while "reportTokn" holds "report" and is nearer to reportToken.
 */
function distanceBetween(a: string, b: string): number {
  const edits = editsBetween(a, b)
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  if (short.length < SHORTEST_FRAGMENT || !long.includes(short)) return edits
  return Math.min(edits, 3 - short.length / long.length)
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, one each. */
function editsBetween(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let edits = Math.min(substituted, last[j]! + 1, row[j - 1]! + 1)
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwapped) edits = Math.min(edits, beforeLast[j - 2]! + 1)
      row.push(edits)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
