/**
 * `npm run bench:effect [-- --write] [-- part of a scene's or remedy's name...]`: each way to leak, and legal silences, under
 * each remedy, and the client that comes back (`reuse`). Linux. Needs Debian's haproxy, nginx (libnginx-mod-stream), iproute2
 * and nftables; what is missing is left out.
 */
import { availableParallelism, release } from 'node:os'
import { play, type Outcome } from './play.js'
import { writeSection } from '../write-section.js'
import { LIMIT_MS, REMEDIES } from './remedies.js'
import { playReuse } from './reuse.js'
import { SCENES } from './scenes.js'
import { matrix, summary, type Result } from './tables.js'

const args = process.argv.slice(2)
const words = args.filter((arg) => !arg.startsWith('--'))
const parts = words.filter((word) => word !== 'reuse')
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

if (!words.includes('reuse')) {
  await Promise.all(Array.from({ length: 3 * availableParallelism() }, work))
  const where = `Node ${process.version}; every time limit, and the grace, is ${LIMIT_MS / 1000} s.`
  tell('npm run bench:effect', `${where}\n\n${summary(results)}\n${matrix(results)}`)
}
if (words.length === 0 || words.includes('reuse')) {
  try {
    tell(
      'npm run bench:effect -- reuse',
      `Node ${process.version}, Linux ${release()}.\n\n${await playReuse(isAsked)}`,
    )
  } catch (error) {
    console.error(`reuse is left out: ${(error as Error).message}`)
  }
}
process.exit()

function tell(command: string, text: string): void {
  console.log(text)
  if (args.includes('--write')) writeSection('comparison.md', command, text)
}
