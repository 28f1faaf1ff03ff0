// mocha --require ./mocha-hooks.mjs mocha.mjs
import { it } from 'mocha'
import { answer, answerAndEnd } from './leaky.mjs'

it('answers and ends', answerAndEnd)
it('answers', answer)
