/**
 * The same programs without and with the guard preloaded: whatever a program can observe is equal. Here the scenes of a theme share
 * a process; `npm run test:transparency` plays each in its own, on every supported Node and with everything switched on.
 */
import t from 'tap'
import { differences, ENDING, THEMES } from './twins.js'

// Many processes: run without the test runner, the file would have 30 seconds.
t.setTimeout(120_000)

for (const [i, scenes] of THEMES.entries()) {
  t.test(`${scenes.length} scenes, ${scenes[0]} and so on`, async (t) => {
    t.same(await differences(scenes), [], `theme ${i}`)
  })
}

for (const scene of ENDING) t.test(scene, async (t) => t.same(await differences([scene]), []))
