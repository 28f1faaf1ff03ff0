/** The same scenes in processes without and with the guard, and how what they recorded differs. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REGISTER } from '../support/package-root.js'
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
const TRIES = 6
/** What the guard loads of Node in each process, and what that loads in turn. */
const LOADED_BY_THE_GUARD =
  /^(?:NativeModule (?:net|stream|stream\/promises|string_decoder|url|diagnostics_channel|async_hooks|internal\/.*)|Internal Binding (?:uv|stream_wrap|tcp_wrap|pipe_wrap|async_wrap))$/

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
  for (let i = 0; i < TRIES; i += 1) {
    const [one, other] = await Promise.all([played(scenes, node, null), played(scenes, node, settings)])
    bare.push(one)
    const closest = bare.map((lines) => differ(lines, other)).sort((a, b) => a.length - b.length)[0]!
    if (closest.length === 0) return []
    found = closest
  }
  return found
}

async function played(scenes: readonly string[], node: string, settings: Settings | null): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'slg-transparency-'))
  try {
    // All of a stack: else the guard's frame would push another off its end.
    const options = ['--stack-trace-limit=60', '--no-warnings']
    if (settings !== null) options.push('--require', REGISTER)
    const outcome = await runNode([PROGRAM, folder, ...scenes], {
      node,
      env: { ...settings, NODE_OPTIONS: options.join(' ') },
    })
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
    const told = files.map((text) => JSON.stringify(withoutOwn(JSON.parse(text) as Facts), null, 1))
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

function withoutOwn(facts: Facts): object {
  return { ...facts, modules: facts.modules.filter((name) => !LOADED_BY_THE_GUARD.test(name)) }
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
