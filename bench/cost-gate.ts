/**
 * `npm run cost -- [--only TEXT] [--bound RATIO] [--preload FILE]`: fails when the guard costs a healthy program more instructions than it
 * may, in each of five attempts. Needs valgrind (Debian's package); without it, says so and passes.
 */
import { parseArgs } from 'node:util'
import { canCountInstructions, countInstructions, COURSES } from './instructions.js'

/**
 * How many times the instructions of the bare program, on Node 20: a little more than the worst attempt of today. For one course V8
 * settles on one of two states (HTTP, keep-alive, bare: 45,600 or 48,400 instructions), so a bound is looser than a count is exact.
 */
const BOUNDS: Readonly<Record<string, number>> = {
  'Start and end of an empty program': 1.215,
  'HTTP, keep-alive': 1.12,
  'HTTP, a connection per request': 1.12,
  'TCP: accept, echo, close': 1.12,
  'HTTP, keep-alive, with an http.get in each': 1.05,
}

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    /** In place of every bound, and tried once. */
    bound: { type: 'string' },
    preload: { type: 'string' },
  },
})

/** V8 compiles a little differently in each process: what is too much in one may be the luck of the draw, in all of them it is not. */
const ATTEMPTS = 5

async function main(): Promise<void> {
  if (!canCountInstructions()) {
    console.log('cost gate: skipped, there is no valgrind on this machine')
    return
  }
  for (const course of COURSES) {
    const known = BOUNDS[course.title]
    if (known === undefined || !course.title.includes(flags.only)) continue
    const bound = Number(flags.bound ?? known)
    let isTooMuch = true
    for (let attempt = 0; isTooMuch && attempt < (flags.bound === undefined ? ATTEMPTS : 1); attempt += 1) {
      const { bare, guarded } = await countInstructions(course, flags.preload)
      const ratio = guarded / bare
      isTooMuch = !(ratio <= bound)
      console.log(
        `${isTooMuch ? 'too much' : 'ok      '} ${ratio.toFixed(3)} of ${bound.toFixed(2)}  ${course.title} ` +
          `(${Math.round(bare)} -> ${Math.round(guarded)} instructions)`,
      )
    }
    if (isTooMuch) process.exitCode = 1
  }
}

await main()
