/**
 * `npm run test:transparency -- [major...]`: plays every scene in a process of its own, on every supported Node, with the guard as it
 * is by default and with everything switched on.
 */
import { nodeOf, MAJORS } from '../support/node-versions.js'
import { differences, ENDING, THEMES, type Settings } from './twins.js'

/** Up to Node 22 any AsyncLocalStorage puts a symbol on each async resource and a frame under each callback. */
function settingsFor(major: string): Readonly<Record<string, Settings>> {
  const isOld = Number(major) < 24
  const everything = {
    SOCKET_LEAK_GUARD_SWEEP_MS: '10',
    SOCKET_LEAK_GUARD_PRESSURE: 'on',
    SOCKET_LEAK_GUARD_STACKS: isOld ? 'sampled' : 'always',
    SOCKET_LEAK_GUARD_CONTEXT: isOld ? 'auto' : 'async-local-storage',
  }
  return { 'by default': {}, 'everything on': everything }
}

const scenes = [...THEMES.flat(), ...ENDING]
const asked = process.argv.slice(2)
for (const major of asked.length === 0 ? ['20', ...MAJORS] : asked) {
  for (const [name, settings] of Object.entries(settingsFor(major))) {
    let equal = 0
    for (const scene of scenes) {
      const found = await differences([scene], settings, nodeOf(major))
      if (found.length === 0) equal += 1
      else console.log(`Node ${major}, ${name}, ${scene}\n  ${found.slice(0, 40).join('\n  ')}`)
    }
    console.log(`Node ${major}, ${name}: ${equal} of ${scenes.length} scenes are equal`)
    if (equal < scenes.length) process.exitCode = 1
  }
}
