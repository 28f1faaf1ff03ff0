/**
 * Runs somebody else's test suite without and with the guard preloaded, and compares test by test.
 *
 *     node build/scripts/compare-suite.js FOLDER [--name NAME] [--each REGEXP] [--write] -- COMMAND [ARG...]
 *
 * What counts as a test is the command's exit code and every line of TAP that it prints, so ask the test runner for TAP. With
 * `--each` the command runs once for each file below the folder whose path the pattern matches; `{}` in it becomes the file, behind
 * what the file's own line `// Flags:` says, as in Node's own tests. What comes out otherwise with the guard is run `--repeat` times
 * more on both sides. Exits with 1 if the guard makes a test fail. `--write` puts the row of this suite and this major of Node into
 * docs/compatibility.md.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const ROOT = join(import.meta.dirname, '..', '..')
const REGISTER = join(ROOT, 'dist', 'register.cjs')
const DOCUMENT = join(ROOT, 'docs', 'compatibility.md')
const MAX_OUTPUT = 1 << 26

/** Did it pass, by the test's name. */
type Results = ReadonlyMap<string, boolean>

interface Command {
  readonly name: string
  readonly words: readonly string[]
}

interface Verdict {
  readonly test: string
  readonly bareFailures: number
  readonly guardedFailures: number
  readonly runs: number
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string' },
    each: { type: 'string' },
    skip: { type: 'string', default: '^$' },
    jobs: { type: 'string', default: '2' },
    repeat: { type: 'string', default: '4' },
    /** Seconds for one run of the command. */
    timeout: { type: 'string', default: '600' },
    node: { type: 'string', default: process.execPath },
    write: { type: 'boolean', default: false },
  },
})
const [folderGiven = '.', ...command] = positionals
const folder = resolve(folderGiven)

function commands(): Command[] {
  const { each } = flags
  if (each === undefined) return [{ name: command.join(' '), words: command }]
  const [wanted, unwanted] = [new RegExp(each), new RegExp(flags.skip)]
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => wanted.test(file) && !unwanted.test(file) && !file.includes('node_modules'))
    .sort()
    .map((file) => {
      const ownFlags = /^\/\/ Flags:(.*)$/m.exec(readFileSync(join(folder, file), 'utf8'))?.[1] ?? ''
      const expand = (word: string): string[] =>
        word === '{}' ? [...ownFlags.split(' ').filter(Boolean), file] : [word]
      return { name: file, words: command.flatMap(expand) }
    })
}

/** @param worker runs of different workers go on side by side */
async function run({ name, words }: Command, isGuarded: boolean, worker: number): Promise<Results> {
  const [program = '', ...args] = words
  const { NODE_OPTIONS: _inherited, ...env } = process.env
  // Node's own tests keep their temporary folders apart by this.
  env['TEST_THREAD_ID'] = String(worker)
  if (isGuarded) env['NODE_OPTIONS'] = `--require ${REGISTER}`
  const child = spawn(program === 'node' ? flags.node : program, args, {
    cwd: folder,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output.length < MAX_OUTPUT) output += text
  })
  child.stderr.resume()
  const endGroup = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // Nobody is left.
    }
  }
  const timer = setTimeout(endGroup, Number(flags.timeout) * 1000)
  const code = await new Promise<number | null>((done) => {
    child.once('error', () => done(null))
    child.once('exit', (status) => {
      // A process that it left behind may still hold the pipes.
      setTimeout(endGroup, 1000)
      child.once('close', () => done(status))
    })
  })
  clearTimeout(timer)
  return new Map([...readTap(output, name), [name, code === 0]])
}

/** Subtests are indented, and their parent's name stands above them. */
function* readTap(output: string, file: string): Iterable<[string, boolean]> {
  const parents: string[] = []
  const seen = new Map<string, number>()
  for (const line of output.split('\n')) {
    const indent = line.length - line.trimStart().length
    const [, subtest] = /^\s*# Subtest: (.*)$/.exec(line) ?? []
    if (subtest !== undefined) parents.splice(indent / 4, Infinity, subtest)
    const [, not, title] = /^\s*(not )?ok\b(?: \d+)?(?: -)? ?(.*)$/.exec(line) ?? []
    if (title === undefined || / # (?:SKIP|TODO)/i.test(title)) continue
    const path = [file, ...parents.slice(0, indent / 4), title.replace(/ # .*$/, '')].join(' > ')
    const before = seen.get(path) ?? 0
    seen.set(path, before + 1)
    yield [before === 0 ? path : `${path} (${before + 1})`, not === undefined]
  }
}

async function main(): Promise<void> {
  const queue = commands()
  let passing = 0
  const verdicts: Verdict[] = []
  async function work(worker: number): Promise<void> {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const bare = await run(next, false, worker)
      passing += [...bare.values()].filter(Boolean).length
      verdicts.push(...(await compare(next, bare, await run(next, true, worker), worker)))
    }
  }
  await Promise.all(Array.from({ length: Number(flags.jobs) }, (_, worker) => work(worker)))
  const broken = verdicts.filter(
    ({ bareFailures, guardedFailures, runs }) => bareFailures === 0 && guardedFailures * 2 >= runs,
  )
  for (const { test, bareFailures, guardedFailures, runs } of verdicts)
    console.log(`${test}: of ${runs} runs, ${bareFailures} failed bare and ${guardedFailures} with the guard`)
  const row = [
    flags.name ?? folderGiven,
    nodeVersion(await capture(flags.node, ['--version'])),
    String(passing),
    String(broken.length),
    String(verdicts.length - broken.length),
  ]
  console.log(`| ${row.join(' | ')} |`)
  if (flags.write) writeRow(row)
  if (broken.length > 0 || passing === 0) process.exitCode = 1
}

/** What passed bare and failed with the guard, or was not even run. */
async function compare(
  command: Command,
  bare: Results,
  guarded: Results,
  worker: number,
): Promise<Verdict[]> {
  const suspects = [...bare].filter(([test, passed]) => passed && guarded.get(test) !== true)
  if (suspects.length === 0) return []
  const again: { readonly bare: Results; readonly guarded: Results }[] = [{ bare, guarded }]
  for (let i = 0; i < Number(flags.repeat); i += 1)
    again.push({ bare: await run(command, false, worker), guarded: await run(command, true, worker) })
  return suspects.map(([test]) => ({
    test,
    bareFailures: again.filter((results) => results.bare.get(test) !== true).length,
    guardedFailures: again.filter((results) => results.guarded.get(test) !== true).length,
    runs: again.length,
  }))
}

async function capture(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  return (await child.stdout.setEncoding('utf8').toArray()).join('').trim()
}

function nodeVersion(text: string): string {
  return text.replace(/^v/, '')
}

/** One row for each suite and major of Node. */
function writeRow(row: readonly string[]): void {
  const [begin, end] = ['<!-- generated by scripts/compare-suite.ts -->', '<!-- end -->']
  const document = readFileSync(DOCUMENT, 'utf8')
  const [before = '', rest = ''] = document.split(begin)
  const [table = '', after = ''] = rest.split(end)
  const [head = '', rule = '', ...rows] = table.trim().split('\n')
  const line = `| ${row.join(' | ')} |`
  /** The suite and the major. */
  const keyOf = (text: string): string => /^\| (?:.*?) \| \d+/.exec(text)?.[0] ?? ''
  const kept = rows.filter((other) => keyOf(other) !== keyOf(line))
  const made = [head, rule, ...[...kept, line].sort()].join('\n')
  writeFileSync(DOCUMENT, `${before}${begin}\n\n${made}\n\n${end}${after}`)
}

await main()
