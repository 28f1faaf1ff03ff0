import { afterEach, beforeEach } from '@jest/globals'
import { trackLeaks } from 'socket-leak-guard/testing'

let check
beforeEach(() => {
  check = trackLeaks()
})
afterEach(() => check())
