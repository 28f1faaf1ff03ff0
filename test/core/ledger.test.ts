import fc from 'fast-check'
import t from 'tap'
import { Ledger, type Entry } from '../../src/core/ledger.js'
import { EVENT_TYPES } from '../../src/core/vocabulary.js'

interface Numbered extends Entry {
  readonly name: number
}

function entry(name: number): Numbered {
  return { name, index: -1 }
}

/** Every entry knows its place, and nobody is listed twice. */
function isConsistent(ledger: Ledger<Numbered>): boolean {
  const entries = [...ledger]
  return (
    entries.length === ledger.size &&
    new Set(entries).size === entries.length &&
    entries.every((listed, index) => listed.index === index && ledger.at(index) === listed)
  )
}

t.test('entries are found where they say they are', async (t) => {
  const ledger = new Ledger<Numbered>()
  const [a, b, c] = [entry(1), entry(2), entry(3)]
  for (const added of [a, b, c]) ledger.add(added)
  ledger.remove(a)
  t.same(
    [...ledger].map(({ name }) => name),
    [3, 2],
    'the last entry takes the place of a removed one',
  )
  t.equal(a.index, -1)
  t.equal(c.index, 0)
  t.equal(ledger.at(5), undefined)
  t.ok(isConsistent(ledger))
})

t.test('removing what is not there changes nothing', async (t) => {
  const ledger = new Ledger<Numbered>()
  const [a, b] = [entry(1), entry(2)]
  ledger.add(a)
  ledger.remove(b)
  ledger.remove({ name: 1, index: 0 })
  t.same([...ledger], [a])
  ledger.remove(a)
  ledger.remove(a)
  t.equal(ledger.size, 0)
})

t.test('counts begin at zero, one for each event', async (t) => {
  const ledger = new Ledger<Numbered>()
  t.same(Object.keys(ledger.counts).sort(), [...EVENT_TYPES].sort())
  for (const event of EVENT_TYPES) t.equal(ledger.counts[event], 0)
  ledger.count('dead')
  ledger.count('dead')
  t.same(ledger.counts, { suspect: 0, stalled: 0, leaked: 0, recovered: 0, reclaimed: 0, dead: 2 })
})

/** What happens between two steps of a walk: something comes, or something anywhere in the list goes. */
const change = fc.oneof(
  fc.record({ type: fc.constant('add' as const) }),
  fc.record({ type: fc.constant('remove' as const), at: fc.nat(63) }),
)

t.test('a walk from the end misses nothing that is there from its beginning to its end', async () => {
  fc.assert(
    fc.property(
      fc.nat(24),
      fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 32 }),
      (size, changes) => {
        const ledger = new Ledger<Numbered>()
        const initial = Array.from({ length: size }, (_, name) => entry(name))
        for (const added of initial) ledger.add(added)
        const visited = new Set<Numbered>()
        let nextName = size
        let cursor = ledger.size - 1
        for (let round = 0; ; round += 1) {
          // As the sweep walks: the list may have become shorter than the cursor.
          cursor = Math.min(cursor, ledger.size - 1)
          const found = ledger.at(cursor)
          if (found === undefined) break
          cursor -= 1
          visited.add(found)
          for (const happened of changes[round] ?? []) {
            if (happened.type === 'add') ledger.add(entry(nextName++))
            else {
              const removed = ledger.at(happened.at % Math.max(1, ledger.size))
              if (removed !== undefined) ledger.remove(removed)
            }
          }
          if (!isConsistent(ledger)) return false
        }
        return initial.every((listed) => listed.index === -1 || visited.has(listed))
      },
    ),
    { numRuns: 500 },
  )
})
