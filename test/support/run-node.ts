/** Runs programs in processes of their own: whatever concerns exit, crash or preload, with and without the guard. */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { REGISTER } from './package-root.js'

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  /** Written to its standard input, which is then closed. */
  readonly input?: string | undefined
  /** Without the loader that the test runner has put into every process, which needs permissions. @default false */
  readonly isBare?: boolean
  /** Another Node. @default the one that runs the test */
  readonly node?: string | undefined
  /** After this time it gets SIGKILL. */
  readonly limitMs?: number | undefined
}

/** Waits until the process has ended by itself. */
export async function runNode(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const command = [options.node ?? process.execPath, ...args]
  const [file, ...rest] = options.isBare === true ? ['env', '-u', 'NODE_OPTIONS', ...command] : command
  const child = spawn(file!, rest, {
    env: { ...cleanEnvironment(), ...options.env },
    cwd: options.cwd,
    timeout: options.limitMs,
    killSignal: 'SIGKILL',
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const exited = new Promise<Pick<Outcome, 'code' | 'signal'>>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  const [stdout, stderr, end] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  return { ...end, stdout, stderr }
}

/** The same program twice: with the guard preloaded and without. */
export async function runTwins(
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ guarded: Outcome; bare: Outcome }> {
  const [guarded, bare] = await Promise.all([
    runNode(['--require', REGISTER, ...args], options),
    runNode(args, options),
  ])

  return { guarded, bare }
}

/** Warnings are marked with the process id, which is no difference worth comparing. */
export function withoutPid({ stderr, ...rest }: Outcome): Outcome {
  return { ...rest, stderr: stderr.replaceAll(/\(node:\d+\)/g, '(node)') }
}

/** What the test runner says to its own processes is not meant for these. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !/^(?:TAP|NODE_OPTIONS|NODE_V8_COVERAGE|SOCKET_LEAK)/.test(name) && !name.startsWith('_TAP'),
    ),
  )
}
