import { afterEach, beforeEach } from 'vitest'
import { trackLeaks } from 'socket-leak-guard/testing'

let check
beforeEach(() => {
  check = trackLeaks()
})
afterEach(() => check())
