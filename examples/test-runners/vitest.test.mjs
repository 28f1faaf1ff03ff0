// vitest run --config vitest.config.mjs
import { test } from 'vitest'
import { answer } from './leaky.mjs'

test('answers', answer)
