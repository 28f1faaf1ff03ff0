import t from 'tap'
import { formatInstant } from '../../src/report/phrases.js'

t.test('an instant loses its fraction, anything else stays', async (t) => {
  t.equal(formatInstant('2026-02-03T14:05:06.789Z'), '2026-02-03 14:05:06 UTC')
  t.equal(formatInstant('2026-02-03T14:05:06Z'), '2026-02-03 14:05:06 UTC')
  t.equal(formatInstant('yesterday'), 'yesterday')
})
