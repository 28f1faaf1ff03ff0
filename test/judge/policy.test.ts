import t from 'tap'
import { remedyLadder, type Deed } from '../../src/judge/policy.js'
import { CONDITIONS, type Condition } from '../../src/core/vocabulary.js'

/** The graceful ladder of each condition, before and after the application has ended its side. */
const GRACEFUL: Readonly<Record<Condition, readonly [open: readonly Deed[], ended: readonly Deed[]]>> = {
  'eof-ignored': same('end', 'let-go', 'reset'),
  'eof-unread': same('resume-end', 'let-go', 'reset'),
  'fin-unseen': same('resume-end', 'let-go', 'reset'),
  'window-closed': same('resume-end', 'let-go', 'reset'),
  'reset-unseen': same('let-go', 'reset'),
  'fin-wait': same('let-go', 'reset'),
  'write-stalled': [
    ['end', 'reset', 'let-go'],
    ['reset', 'let-go'],
  ],
  'closed-unread': same('let-go', 'reset'),
  'self-connected': same('end', 'let-go', 'reset'),
  abandoned: same('end', 'let-go', 'reset'),
}

function same(...deeds: Deed[]): readonly [readonly Deed[], readonly Deed[]] {
  return [deeds, deeds]
}

t.test('end: the remedy that closes this condition and loses least comes first', async (t) => {
  for (const condition of CONDITIONS) {
    t.same(remedyLadder('end', condition, false), GRACEFUL[condition][0], condition)
    t.same(remedyLadder('end', condition, true), GRACEFUL[condition][1], `${condition}, ended`)
  }
})

t.test('the other actions do what they say, whatever the condition', async (t) => {
  for (const condition of CONDITIONS) {
    for (const localEnded of [false, true]) {
      t.same(remedyLadder('report', condition, localEnded), [])
      t.same(remedyLadder('destroy', condition, localEnded), ['destroy', 'reset'])
      t.same(remedyLadder('reset', condition, localEnded), ['reset', 'destroy'])
    }
  }
})

t.test('every ladder gets stronger, never repeats itself, and ends with what always closes', async (t) => {
  for (const action of ['end', 'destroy', 'reset'] as const) {
    for (const condition of CONDITIONS) {
      for (const localEnded of [false, true]) {
        const ladder = remedyLadder(action, condition, localEnded)
        const name = `${action}, ${condition}`
        t.equal(new Set(ladder).size, ladder.length, `${name}: no deed twice`)
        const forceful = [action === 'end' ? 'let-go' : 'destroy', 'reset'].sort()
        t.same(ladder.slice(-2).sort(), forceful, `${name}: both forceful deeds come last`)
        if (localEnded && !['eof-ignored', 'self-connected', 'abandoned'].includes(condition)) {
          t.notOk(ladder.includes('end'), `${name}: what has ended is not ended again`)
        }
      }
    }
  }
})

t.test('a plain end() is never tried where unread input would keep the descriptor open', async (t) => {
  for (const condition of ['eof-unread', 'fin-unseen', 'window-closed', 'closed-unread'] as const) {
    t.notOk(remedyLadder('end', condition, false).includes('end'), condition)
  }
})
