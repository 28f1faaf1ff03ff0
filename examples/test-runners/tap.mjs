// tap tap.mjs
import t from 'tap'
import { trackLeaks } from 'socket-leak-guard/testing'
import { answer, answerAndEnd } from './leaky.mjs'

t.beforeEach((t) => {
  t.context.check = trackLeaks()
})
t.afterEach((t) => t.context.check())

void t.test('answers and ends', answerAndEnd)
void t.test('answers', answer)
