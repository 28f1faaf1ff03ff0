/** The same scenes in processes without and with the guard, and how what they recorded differs. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PACKAGE_ROOT, REGISTER } from '../support/package-root.js'
import { runNode } from '../support/run-node.js'
import { HTTP } from './scenes-http.js'
import { NET } from './scenes-net.js'
import { ENDINGS, PROGRAMS } from './scenes-program.js'

/** Scenes that may share a process, by theme. */
export const THEMES: readonly (readonly string[])[] = [NET, HTTP, PROGRAMS].map((scenes) =>
  Object.keys(scenes),
)
/** Scenes that end theirs. */
export const ENDING: readonly string[] = Object.keys(ENDINGS)

/** A process of its own each time it is played. */
export type Settings = Readonly<Record<string, string>>

const PROGRAM = join(import.meta.dirname, 'program.js')
/** That anything is preloaded shows too. */
const NOTHING = join(PACKAGE_ROOT, 'test', 'fixtures', 'nothing.cjs')
const TRIES = 6
const LIMIT_MS = 60_000
/**
 * @returns one line for each difference. What differs between two bare runs as well is the kernel's doing: a difference counts if it
 *   is there again each time.
 */
export async function differences(
  scenes: readonly string[],
  settings: Settings = {},
  node = process.execPath,
): Promise<readonly string[]> {
  let found: readonly string[] = []
  const bare: string[][] = []
  const own = await modulesOfTheGuard(node, settings)
  for (let i = 0; i < TRIES; i += 1) {
    const [one, other] = await Promise.all([
      played(scenes, node, null, own),
      played(scenes, node, settings, own),
    ])
    bare.push(one)
    const closest = bare.map((lines) => differ(lines, other)).sort((a, b) => a.length - b.length)[0]!
    if (closest.length === 0) return []
    found = closest
  }
  return found
}

async function played(
  scenes: readonly string[],
  node: string,
  settings: Settings | null,
  own: ReadonlySet<string>,
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'slg-transparency-'))
  try {
    // All of a stack: else the guard's frame would push another off its end.
    const options = ['--stack-trace-limit=60', '--no-warnings', '--require']
    options.push(settings === null ? NOTHING : REGISTER)
    const outcome = await runNode([PROGRAM, folder, ...scenes], {
      node,
      env: { ...settings, NODE_OPTIONS: options.join(' ') },
      limitMs: LIMIT_MS,
    })
    if (outcome.signal === 'SIGKILL') throw new Error(`${scenes.join()} does not end`)
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
    const told = files.map((text) => JSON.stringify(withoutOwn(JSON.parse(text) as Facts, own), null, 1))
    return [
      `exit ${outcome.code} ${outcome.signal}`,
      ...outcome.stdout.split('\n'),
      ...outcome.stderr.split('\n').filter((line) => !line.includes(REGISTER)),
      ...told.sort().flatMap((text) => text.replaceAll('\\n', '\n').split('\n')),
    ].map((line) => line.replaceAll(folder, 'FOLDER').replaceAll(/\b\d{3,}\b/g, 'N'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Facts {
  readonly modules: readonly string[]
}

function withoutOwn(facts: Facts, own: ReadonlySet<string>): object {
  return { ...facts, modules: facts.modules.filter((name) => !own.has(name)) }
}

/** koffi is looked for when there is something to ask the kernel about. `node:url` comes with `--eval` too. */
const LOADED_LATER = ['module', 'internal/source_map/source_map', 'url'].map((name) => `NativeModule ${name}`)

/** What the guard loads of Node into a program that does nothing. */
const modulesOfTheGuard = (() => {
  const known = new Map<string, Promise<ReadonlySet<string>>>()
  return (node: string, settings: Settings): Promise<ReadonlySet<string>> => {
    const key = JSON.stringify([node, settings])
    const found = known.get(key) ?? loadedByTheGuard(node, settings)
    known.set(key, found)
    return found
  }
})()

async function loadedByTheGuard(node: string, settings: Settings): Promise<ReadonlySet<string>> {
  async function loaded(preload: string): Promise<string[]> {
    const code = 'setTimeout(() => console.log(JSON.stringify(process.moduleLoadList)), 100)'
    const { stdout } = await runNode(['--require', preload, '--eval', code], { node, env: settings })
    return JSON.parse(stdout) as string[]
  }
  const [bare, guarded] = await Promise.all([loaded(NOTHING), loaded(REGISTER)])
  return new Set([...LOADED_LATER, ...guarded.filter((name) => !bare.includes(name))])
}

/** The lines that only one side has, with what stands before the first. */
function differ(bare: readonly string[], guarded: readonly string[]): string[] {
  const first = guarded.findIndex((line, i) => line !== bare[i])
  if (first === -1 && bare.length === guarded.length) return []
  const only = (lines: readonly string[], others: readonly string[], mark: string): string[] => {
    const known = new Map<string, number>()
    for (const line of others) known.set(line, (known.get(line) ?? 0) + 1)
    return lines
      .filter((line) => {
        const left = known.get(line) ?? 0
        known.set(line, left - 1)
        return left <= 0
      })
      .map((line) => `${mark} ${line}`)
  }
  const at = first === -1 ? Math.min(bare.length, guarded.length) : first
  return [
    ...guarded.slice(Math.max(0, at - 4), at),
    ...only(bare, guarded, '-'),
    ...only(guarded, bare, '+'),
    `(from line ${at} on)`,
  ]
}
