/**
 * What the guard adds, in machine instructions that valgrind's callgrind counts. Such a count hardly depends on the
 * machine or on what else it does.
 *
 * A server is warmed up without counting, which is several times as fast, until V8 has compiled what there is to compile. Then
 * exchanges are counted in windows, and the cheapest stands: a window with a compilation or a garbage collection counts up to
 * 10 % more, and how many of those there are differs from run to run.
 */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openLoad } from './load.js'
import { plainEnvironment, PRELOAD } from './measured-server.js'
import { OUTGOING, WORKLOADS, type Workload } from './workloads.js'

const SERVER = fileURLToPath(new URL('server.js', import.meta.url))
const VALGRIND = ['--tool=callgrind', '--smc-check=all-non-file']
const WARM_UP = 8_000
const WINDOWS = 9
const PER_WINDOW = 200

const run = promisify(execFile)

/** Something whose instructions can be counted. */
export interface Course {
  readonly title: string
  /** `null`: a program that does nothing, from its start to its end. */
  readonly workload: Workload | null
}

export interface InstructionCount {
  readonly course: Course
  readonly bare: number
  readonly guarded: number
}

export const COURSES: readonly Course[] = [
  { title: 'Start and end of an empty program', workload: null },
  ...[...WORKLOADS, OUTGOING].map((workload) => ({ title: workload.title, workload })),
]

export function canCountInstructions(): boolean {
  return spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status === 0
}

export async function countInstructions(course: Course, preload = PRELOAD): Promise<InstructionCount> {
  const [bare = NaN, guarded = NaN] = await Promise.all(
    [[], ['--require', preload]].map((flags) => countOne(course, flags)),
  )
  return { course, bare, guarded }
}

async function countOne({ workload }: Course, flags: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'cost-'))
  const output = join(folder, 'counts')
  try {
    if (workload === null) {
      await ended(start([`--callgrind-out-file=${output}`], [...flags, '--eval', '0'], false))
      return totalOf(output)
    }
    await countWindows(workload, flags, output)
    const windows = readdirSync(folder).filter((name) => /^counts\.\d+$/.test(name))
    const counts = windows.map((name) => totalOf(join(folder, name)) / PER_WINDOW)
    return Math.min(...counts)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function countWindows(workload: Workload, flags: readonly string[], output: string): Promise<void> {
  const child = start(
    [`--callgrind-out-file=${output}`, '--instr-atstart=no'],
    [...flags, SERVER, workload.server],
    true,
  )
  const end = ended(child)
  const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }]
  const load = await openLoad(workload, port, 1)
  await load.run(WARM_UP)
  await tell(child, 'instrumentation', 'on')
  for (let window = 0; window < WINDOWS; window += 1) {
    await load.run(PER_WINDOW)
    await tell(child, 'dump')
  }
  await tell(child, 'instrumentation', 'off')
  load.close()
  child.disconnect()
  await end
}

function start(valgrind: readonly string[], args: readonly string[], usesChannel: boolean): ChildProcess {
  return spawn('valgrind', [...VALGRIND, ...valgrind, process.execPath, '--single-threaded', ...args], {
    env: plainEnvironment(),
    // A channel to the parent process would load node:net into the bare program.
    stdio: ['ignore', 'ignore', 'ignore', ...(usesChannel ? (['ipc'] as const) : [])],
  })
}

async function ended(child: ChildProcess): Promise<void> {
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`valgrind ended with ${code}`)
}

/** Callgrind's own commands (valgrind manual, "Callgrind Monitor Commands"). */
async function tell(child: ChildProcess, ...command: readonly string[]): Promise<void> {
  await run('vgdb', [`--pid=${child.pid}`, ...command])
}

function totalOf(file: string): number {
  const total = /^(?:totals|summary): (\d+)/m.exec(readFileSync(file, 'utf8'))?.[1]
  if (total === undefined) throw new Error(`no count in ${file}`)
  return Number(total)
}
