/** What a command is, how its arguments are read, and its help. */
import { parseArgs } from 'node:util'

export interface Flag {
  readonly type: 'boolean' | 'string'
  readonly short?: string
  /** How the value is called in the help. */
  readonly value?: string
  readonly help: string
}

export interface Given {
  readonly operands: readonly string[]
  has(flag: string): boolean
  text(flag: string): string | undefined
  /** A number with a default; exits with `USAGE` if it is none or too small. */
  number(flag: string, fallback: number, least?: number): number
}

export interface Command {
  readonly name: string
  readonly operands: string
  readonly summary: string
  /** Paragraphs of the help, below the summary. */
  readonly about: readonly string[]
  readonly flags: Readonly<Record<string, Flag>>
  /** How many operands there must be; none by default. What follows the last one belongs to it. */
  readonly least?: number
  readonly most?: number
  /** @returns the exit code */
  run(given: Given): Promise<number>
}

export const EXIT = {
  fine: 0,
  /** What was looked for was found: more leaks than are allowed. */
  found: 1,
  usage: 2,
  /** Nothing was found out. */
  failed: 3,
  interrupted: 130,
} as const

/** Ends the program with one line on stderr. */
export class Failure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message)
    this.exitCode = exitCode
  }
}

const HELP: Readonly<Record<string, Flag>> = {
  help: { type: 'boolean', short: 'h', help: 'show this' },
}

export function readArguments(command: Command, args: readonly string[]): Given | 'help' {
  const { values, positionals } = parse(command, args)
  if (values['help'] === true) return 'help'
  const { least = 0, most = least } = command
  if (positionals.length < least || positionals.length > most) {
    throw new Failure(`usage: socket-leak-guard ${usageOf(command)}`, EXIT.usage)
  }
  const textOf = (flag: string): string | undefined => {
    const value = values[flag]
    return typeof value === 'string' ? value : undefined
  }
  return {
    operands: positionals,
    has: (flag) => values[flag] === true,
    text: textOf,
    number(flag, fallback, least = 0) {
      const text = textOf(flag)
      if (text === undefined) return fallback
      const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN
      if (value >= least) return value
      throw new Failure(
        `--${flag} must be a number from ${least} upwards, got ${JSON.stringify(text)}`,
        EXIT.usage,
      )
    },
  }
}

function parse(command: Command, args: readonly string[]): ReturnType<typeof parseArgs> {
  const options = { ...command.flags, ...HELP }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new Failure(
      `${(error as Error).message.replace(/\.?(?: To specify|\n).*/s, '')}; see socket-leak-guard ${command.name} --help`,
      EXIT.usage,
    )
  }
}

function usageOf({ name, operands }: Command): string {
  return `${name} [options] ${operands}`.trimEnd()
}

/** `3000`, `localhost:3000` and whole URLs; `null` for what is none. */
export function urlOf(place: string): URL | null {
  const whole = /^\d+$/.test(place) ? `127.0.0.1:${place}` : place
  const url = whole.includes('://') ? whole : `http://${whole}`
  return URL.canParse(url) ? new URL(url) : null
}

export function helpOf(command: Command): string {
  const flags = Object.entries({ ...command.flags, ...HELP }).map(([name, { short, value, help }]) => [
    `${short === undefined ? '   ' : `-${short},`} --${name}${value === undefined ? '' : ` ${value}`}`,
    help,
  ])
  return [`socket-leak-guard ${usageOf(command)}`, command.summary, ...command.about, columns(flags)].join(
    '\n\n',
  )
}

export function columns(rows: readonly (readonly string[])[]): string {
  const width = Math.max(...rows.map(([first = '']) => first.length))
  return rows.map(([first = '', second = '']) => `  ${first.padEnd(width)}  ${second}`).join('\n')
}
