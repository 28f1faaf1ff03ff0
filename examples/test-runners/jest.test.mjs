// NODE_OPTIONS=--experimental-vm-modules jest --config jest.config.json
import { test } from '@jest/globals'
import { answer, answerAndEnd } from './leaky.mjs'

test('answers and ends', answerAndEnd)
test('answers', answer)
