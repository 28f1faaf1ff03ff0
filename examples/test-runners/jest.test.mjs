// NODE_OPTIONS=--experimental-vm-modules jest --config jest.config.json
import { test } from '@jest/globals'
import { answer } from './leaky.mjs'

test('answers', answer)
