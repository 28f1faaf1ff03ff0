// node --test node-test.mjs
import { afterEach, beforeEach, test } from 'node:test'
import { trackLeaks } from 'socket-leak-guard/testing'
import { answer } from './leaky.mjs'

let check
beforeEach(() => {
  check = trackLeaks()
})
afterEach(() => check())

void test('answers', answer)
