// vitest run --config vitest.config.mjs
import { test } from 'vitest'
import { answer, answerAndEnd } from './leaky.mjs'

test('answers and ends', answerAndEnd)
test('answers', answer)
