/** What the terminal shows: 80 columns, colour only where there is a terminal that has it. */
import type { GuardEvent } from 'socket-leak-guard'

export interface Narrator {
  /** One paragraph, wrapped. */
  say(text: string): void
  /** `name` in a column of its own, then the text. */
  fact(name: string, text: string): void
  heading(text: string): void
  /** Text that is laid out already. */
  show(text: string): void
  verdict(event: GuardEvent): void
  /** The last line of a terminal, written over and over; elsewhere one line each time. */
  status(text: string): void
  readonly isTerminal: boolean
}

const COLUMNS = 80
const FACT_INDENT = 12
const EVENT_INDENT = 8
/** What is left for the last column of a verdict. */
const SITE_COLUMNS = 39
const COLORS = {
  suspect: 33,
  leaked: 31,
  stalled: 33,
  recovered: 32,
  reclaimed: 36,
  dead: 35,
  heading: 1,
} as const

const CLOSINGS: Readonly<Partial<Record<GuardEvent['type'], string>>> = {
  recovered: 'put right by the application itself',
  reclaimed: 'closed by the guard, descriptor freed',
  dead: 'proven dead, so freed without waiting',
}

/** @param output a terminal, a file or a pipe; when it is closed early nothing more is written */
export function createNarrator(output: NodeJS.WriteStream): Narrator {
  const startedMs = Date.now()
  const isTerminal = output.isTTY
  const hasColors = isTerminal && output.hasColors()
  let hasStatus = false

  function write(text: string): void {
    if (output.writable) output.write(text)
  }

  function lines(text: readonly string[]): void {
    if (hasStatus) write('\r\x1b[K')
    hasStatus = false
    write(text.map((line) => `${line}\n`).join(''))
  }

  function color(name: keyof typeof COLORS, text: string): string {
    return hasColors ? `\x1b[${COLORS[name]}m${text}\x1b[0m` : text
  }

  /** Minutes and seconds since the beginning. */
  function clock(atMs: number): string {
    const seconds = Math.max(0, Math.floor((atMs - startedMs) / 1000))
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`.padStart(6)
  }

  return {
    isTerminal,
    say(text) {
      lines(indent(text, 2))
    },
    fact(name, text) {
      const [first = '', ...more] = indent(text, FACT_INDENT)
      lines([`  ${name.padEnd(FACT_INDENT - 2)}${first.trimStart()}`, ...more])
    },
    heading(text) {
      lines(['', color('heading', text), ''])
    },
    show(text) {
      lines(text.trimEnd().split('\n'))
    },
    verdict({ type, at, socket }) {
      const cells = [
        clock(Date.parse(at)),
        color(type, type.padEnd(9)),
        `#${socket.id}`.padEnd(4),
        (socket.condition ?? socket.phase).padEnd(14),
        CLOSINGS[type] ?? endOf(socket.owner.site),
      ]
      const line = cells.join('  ')
      lines(type === 'leaked' ? ['', line, ...indent(socket.diagnosis, EVENT_INDENT)] : [line])
    },
    status(text) {
      const line = `${clock(Date.now())}  ${text}`
      if (!isTerminal) return lines([line])
      write(`\r\x1b[K${line}`)
      hasStatus = true
    },
  }
}

/** A place in the code tells most at its end. */
function endOf(site: string): string {
  return site.length <= SITE_COLUMNS ? site : `...${site.slice(3 - SITE_COLUMNS)}`
}

/** Breaks text at its spaces. */
function indent(text: string, columns: number): string[] {
  const margin = ' '.repeat(columns)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && columns + line.length + 1 + word.length > COLUMNS) {
      lines.push(margin + line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, margin + line]
}
