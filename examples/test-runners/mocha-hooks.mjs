import { trackLeaks } from 'socket-leak-guard/testing'

let check
export const mochaHooks = {
  beforeEach() {
    check = trackLeaks()
  },
  afterEach: () => check(),
}
