/** The results as Markdown tables. */
import type { InstructionCount } from './instructions.js'
import type { CpuComparison } from './compare-cpu.js'
import type { HeapComparison } from './compare-heap.js'
import type { Spread } from './statistics.js'

export function cpuTable(comparisons: readonly CpuComparison[]): string {
  return table(
    ['CPU per exchange', 'bare', 'guarded / bare', 'bare / bare', 'aim'],
    comparisons.map(({ workload, bareMicros, guarded, control }) => [
      workload.title,
      `${bareMicros.toFixed(1)} µs`,
      formatSpread(guarded, 3),
      formatSpread(control, 3),
      workload.aim?.toFixed(2) ?? '–',
    ]),
  )
}

export function heapTable(comparisons: readonly HeapComparison[]): string {
  return table(
    ['Heap per idle connection', 'bare', 'added by the guard', 'aim'],
    comparisons.map(({ idleness, bareBytes, added }) => [
      idleness.title,
      `${bareBytes.toFixed(0)} B`,
      `${formatSpread(added, 0)} B`,
      idleness.aim === null ? '–' : `${idleness.aim} B`,
    ]),
  )
}

function formatSpread({ median, lower, upper }: Spread, digits: number): string {
  return `**${median.toFixed(digits)}** (${lower.toFixed(digits)} to ${upper.toFixed(digits)})`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

/** Counted by valgrind, so free of the machine's noise; empty where there is none. */
export function instructionTable(counts: readonly InstructionCount[]): string {
  const whole = (count: number): string => Math.round(count).toLocaleString('en')
  if (counts.length === 0) return ''
  return table(
    ['Instructions', 'bare', 'guarded', 'guarded / bare'],
    counts.map(({ course, bare, guarded }) => [
      course.title,
      whole(bare),
      whole(guarded),
      `**${(guarded / bare).toFixed(3)}**`,
    ]),
  )
}
