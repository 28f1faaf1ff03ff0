/**
 * `npm run bench -- [--quick] [--write] [--rounds N] [--only TEXT]`
 *
 * Compares a server process with the guard to the same without it, in one run, and prints Markdown tables. Every
 * number is relative to the bare process beside it: numbers of different runs or machines don't compare.
 */
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { compareCpu, type CpuComparison } from './compare-cpu.js'
import { compareHeap, type HeapComparison } from './compare-heap.js'
import { canCountInstructions, countInstructions, COURSES, type InstructionCount } from './instructions.js'
import { cpuTable, heapTable, instructionTable } from './table.js'
import { writeSection } from './write-section.js'
import { IDLENESSES, WORKLOADS } from './workloads.js'

const { values: flags } = parseArgs({
  options: {
    /** Enough to see that it works, not to believe a number. */
    quick: { type: 'boolean', default: false },
    /** Also puts the tables into docs/benchmarks.md, in place of those of the same Node major. */
    write: { type: 'boolean', default: false },
    /** Rounds of each CPU comparison. */
    rounds: { type: 'string' },
    /** Only what has this text in its title. */
    only: { type: 'string', default: '' },
  },
})

const size = flags.quick
  ? { rounds: 1, share: 0.01, heapRounds: 1, sockets: 100 }
  : { rounds: 8, share: 1, heapRounds: 3, sockets: 5_000 }
const rounds = flags.rounds === undefined ? size.rounds : Number(flags.rounds)

async function main(): Promise<void> {
  const startedMs = performance.now()
  const counts: InstructionCount[] = []
  for (const course of !flags.quick && canCountInstructions() ? COURSES.filter(isWanted) : []) {
    progress(`instructions: ${course.title}`)
    counts.push(await countInstructions(course))
  }
  const cpu: CpuComparison[] = []
  for (const workload of WORKLOADS.filter(isWanted)) {
    progress(workload.title)
    cpu.push(await compareCpu(workload, { rounds, share: size.share }))
  }
  const heap: HeapComparison[] = []
  for (const idleness of IDLENESSES.filter(isWanted)) {
    progress(`idle: ${idleness.title}`)
    heap.push(await compareHeap(idleness, { rounds: size.heapRounds, sockets: size.sockets }))
  }
  progress(`took ${((performance.now() - startedMs) / 1_000).toFixed(0)} s`)
  const section = [describeRun(), instructionTable(counts), cpuTable(cpu), heapTable(heap)].join('\n')
  process.stdout.write(section)
  if (!flags.write) return
  const major = process.versions.node.split('.')[0]
  writeSection('benchmarks.md', `npm run bench, node ${major}`, `## Node ${major}\n\n${section}`)
}

function isWanted({ title }: { readonly title: string }): boolean {
  return title.includes(flags.only)
}

function describeRun(): string {
  const [cpu] = cpus()
  return (
    `Node ${process.version}, ${process.platform} ${release()}, ${cpus().length} × ${cpu?.model ?? 'unknown CPU'}; ` +
    `${rounds} rounds, ${size.sockets} idle connections.\n`
  )
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`)
}

await main()
