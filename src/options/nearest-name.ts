/** A longer name is no typing error, and the work grows with its square. */
const LONGEST_NAME = 64

/** For "did you mean ...?". Ignores case; the first of equals. */
export function nearestName(name: string, names: readonly string[]): string {
  const wanted = name.slice(0, LONGEST_NAME).toLowerCase()
  const distances = names.map((candidate) => distanceBetween(wanted, candidate.toLowerCase()))
  return names[distances.indexOf(Math.min(...distances))]!
}

/** A fragment counts as near: "timeout" is six edits from userTimeoutMs. */
function distanceBetween(a: string, b: string): number {
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  const isFragment = short.length >= 3 && long.includes(short)
  return Math.min(editsBetween(a, b), isFragment ? 3 - short.length / long.length : Infinity)
}

function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j += 1) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (a[i] === b[j] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
