// node --test node-test.mjs
import { afterEach, beforeEach, test } from 'node:test'
import { trackLeaks } from 'socket-leak-guard/testing'
import { answer, answerAndEnd } from './leaky.mjs'

let check
beforeEach(() => {
  check = trackLeaks()
})
afterEach(() => check())

void test('answers and ends', answerAndEnd)
void test('answers', answer)
