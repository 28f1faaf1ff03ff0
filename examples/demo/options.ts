import { parseArgs } from 'node:util'

export interface DemoOptions {
  /** Tell the story once and exit. */
  readonly once: boolean
  readonly graceMs: number
  /** Where the report is wanted; a free port is taken when this one is in use. */
  readonly port: number
  readonly kernel: 'auto' | 'ffi' | 'proc' | 'off'
}

export const USAGE = `Usage: npm start -- [options]

  --once            tell the story once and exit
  --grace SECONDS   idle time after which a suspect is leaked, 3 to 60 (default 8)
  --port PORT       where the report listens (default 9465)
  --kernel VIEW     how the kernel is asked: auto, ffi, proc or off (default auto)
  --help            print this
`

/** @returns the options, or what to print instead of running */
export function readOptions(
  args: readonly string[],
): DemoOptions | { readonly say: string; readonly exitCode: number } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        once: { type: 'boolean', default: false },
        grace: { type: 'string', default: '8' },
        port: { type: 'string', default: '9465' },
        kernel: { type: 'string', default: 'auto' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) return { say: USAGE, exitCode: 0 }
    return {
      once: values.once,
      graceMs: readNumber('grace', values.grace, 3, 60) * 1000,
      port: readNumber('port', values.port, 0, 65_535),
      kernel: readKernel(values.kernel),
    }
  } catch (error) {
    return { say: `${(error as Error).message}\n\n${USAGE}`, exitCode: 2 }
  }
}

function readNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new Error(`--${name} must be an integer from ${least} to ${most}, got ${JSON.stringify(text)}`)
}

function readKernel(text: string): DemoOptions['kernel'] {
  if (text === 'auto' || text === 'ffi' || text === 'proc' || text === 'off') return text
  throw new Error(`--kernel must be auto, ffi, proc or off, got ${JSON.stringify(text)}`)
}
