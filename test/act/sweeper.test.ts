import { EventEmitter, once } from 'node:events'
import t from 'tap'
import { startSweeper, type Sweeper } from '../../src/act/sweeper.js'
import { createDetached } from '../../src/base/detached.js'
import { monotonicMs } from '../../src/base/real-time.js'

/** A step of a pass that takes a while. */
function spin(ms: number): void {
  const until = monotonicMs() + ms
  while (monotonicMs() < until);
}

t.test('a glance at thousands takes a moment, and goes on in slices', async (t) => {
  const STEPS = 100
  const events = new EventEmitter()
  const begun: boolean[] = []
  const sweeper: Sweeper = startSweeper({
    runDetached: createDetached(),
    begin(asksKernel) {
      begun.push(asksKernel)
      let steps = 0
      return {
        step() {
          spin(0.5)
          steps += 1
          if (steps < STEPS) return true
          events.emit('end')
          return false
        },
      }
    },
    nextDelayMs: () => 60_000,
    onStall() {},
    onFailure: (error) => t.fail(String(error)),
  })
  t.teardown(() => sweeper.stop())
  // The sweeper's own timers do not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))

  const ended = once(events, 'end')
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  sweeper.glance()
  t.same(begun, [false], 'the kernel is not asked')
  await Promise.resolve()
  t.notOk(isOver, 'the rest follows')
  sweeper.glance()
  t.same(begun, [false], 'a second one joins the first')
  await ended
  sweeper.sweepNow()
  t.same(begun, [false, true], 'and the next sweep asks')
})

for (const goesOn of ['by itself', 'by a sweep that the caller asks for'] as const) {
  t.test(`what is blocked in the middle of a pass is excused once, if it goes on ${goesOn}`, async (t) => {
    const events = new EventEmitter()
    const blockedMs: number[] = []
    const sweeper: Sweeper = startSweeper({
      runDetached: createDetached(),
      begin() {
        let steps = 0
        return {
          step() {
            spin(0.5)
            steps += 1
            if (steps < 20) return true
            events.emit('end')
            return false
          },
        }
      },
      nextDelayMs: () => 60_000,
      onStall: (ms) => void blockedMs.push(ms),
      onFailure: (error) => t.fail(String(error)),
    })
    t.teardown(() => sweeper.stop())
    const alive = setInterval(() => {}, 1000)
    t.teardown(() => clearInterval(alive))
    const ended = once(events, 'end')
    const begunMs = monotonicMs()
    sweeper.glance()
    spin(300)
    if (goesOn !== 'by itself') sweeper.sweepNow()
    await ended
    const excusedMs = blockedMs.reduce((sum, ms) => sum + ms, 0)
    t.ok(excusedMs > 250 && excusedMs <= monotonicMs() - begunMs, `${excusedMs} ms`)
  })
}
