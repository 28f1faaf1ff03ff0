/**
 * `npm run bench:effect [-- --write] [-- part of a scene's or remedy's name...]`: each way to leak, and legal silences, under
 * each remedy. Linux. Needs Debian's haproxy, nginx (libnginx-mod-stream) and iproute2; what is missing is left out.
 */
import { availableParallelism } from 'node:os'
import { play, type Outcome } from './play.js'
import { LIMIT_MS, REMEDIES } from './remedies.js'
import { SCENES } from './scenes.js'
import { matrix, summary, type Result } from './tables.js'
import { writeComparison } from './write-comparison.js'

const args = process.argv.slice(2)
const parts = args.filter((arg) => !arg.startsWith('--'))
const isAsked = (name: string): boolean => parts.length === 0 || parts.some((part) => name.includes(part))
const scenes = SCENES.filter(({ name }) => isAsked(name))
const chosen = scenes.length > 0 ? scenes : SCENES
const remedies = Object.keys(REMEDIES).filter((name) => isAsked(name))
const chosenRemedies = remedies.length > 0 ? remedies : Object.keys(REMEDIES)

const cells = chosen.flatMap((scene) => chosenRemedies.map((remedy) => ({ scene, remedy })))
const missing = new Set<string>()
const results: Result[] = []

async function work(): Promise<void> {
  for (let cell = cells.shift(); cell !== undefined; cell = cells.shift()) {
    const { scene, remedy } = cell
    if (missing.has(remedy)) continue
    try {
      const outcome = await play(scene, remedy)
      results.push({ scene, remedy, outcome })
      console.log(`${scene.name} | ${remedy}: ${say(outcome, scene.condition === null)}`)
    } catch (error) {
      missing.add(remedy)
      console.error(`${remedy} is left out: ${(error as Error).message}`)
    }
  }
}

function say({ freedMs, wasKilled, hasDied, seen }: Outcome, isLegal: boolean): string {
  if (hasDied) return 'the process died'
  const end = isLegal
    ? wasKilled
      ? 'killed'
      : 'served'
    : freedMs === null
      ? 'held'
      : `freed after ${(freedMs / 1000).toFixed(1)} s`
  return `${end}${seen.isNamed ? ', named' : seen.isSeen ? ', seen' : ''}`
}

await Promise.all(Array.from({ length: 3 * availableParallelism() }, work))
const text = `${summary(results)}\n${matrix(results)}`
console.log(text)
if (args.includes('--write')) writeComparison(LIMIT_MS, text)
process.exit()
