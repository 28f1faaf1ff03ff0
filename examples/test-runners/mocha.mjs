// mocha --require ./mocha-hooks.mjs mocha.mjs
import { it } from 'mocha'
import { answer } from './leaky.mjs'

it('answers', answer)
