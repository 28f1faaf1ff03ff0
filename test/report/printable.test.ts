import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { clip, makePrintable, wrap } from '../../src/report/printable.js'
import { hostileText } from './arbitrary-report.js'

t.test('what can not be seen, or deceives the eye, is shown as an escape', async (t) => {
  t.equal(makePrintable('plain: ä € 漢 🙂 \\'), 'plain: ä € 漢 🙂 \\')
  t.equal(makePrintable('a\x1b[2Jb\x9bc\x7f'), 'a\\x1b[2Jb\\x9bc\\x7f')
  t.equal(makePrintable('a\nb\r\tc\0'), 'a\\nb\\r\\tc\\x00')
  t.equal(makePrintable('\u202egnp.exe\u2066'), '\\u{202e}gnp.exe\\u{2066}')
  t.equal(makePrintable('a\u200bb\ufeffc\u2028d'), 'a\\u{200b}b\\u{feff}c\\u{2028}d')
  t.equal(makePrintable('half \ud800 pair'), 'half \\u{d800} pair')
})

t.test('long text is cut between code points', async (t) => {
  t.equal(clip('abc', 3), 'abc')
  t.equal(clip('abcd', 3), 'ab…')
  t.equal(clip('🙂🙂🙂', 3), '🙂🙂🙂')
  t.equal(clip('🙂🙂🙂🙂', 3), '🙂🙂…')
  fc.assert(
    fc.property(hostileText, fc.integer({ min: 1, max: 50 }), (text, limit) => {
      const points = Array.from(clip(text, limit))
      assert.ok(points.length <= limit)
      assert.equal(clip(text, limit) === text, Array.from(text).length <= limit)
    }),
  )
})

t.test('wrapped lines hold every word and fit', async (t) => {
  t.same(wrap('the quick brown fox', 10), ['the quick', 'brown fox'])
  t.same(wrap('abcdefghij klm', 4), ['abcd', 'efgh', 'ij', 'klm'])
  t.same(wrap('', 4), [''])
  fc.assert(
    fc.property(hostileText, fc.integer({ min: 1, max: 30 }), (text, width) => {
      const printable = makePrintable(text)
      const lines = wrap(printable, width)
      assert.ok(lines.every((line) => Array.from(line).length <= width))
      assert.equal(lines.join('').replaceAll(' ', ''), printable.replaceAll(' ', ''))
    }),
  )
})
