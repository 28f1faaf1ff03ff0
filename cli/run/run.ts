import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { readEnvironment, variableOf } from '../../src/options/env.js'
import { OPTION_NAMES, OPTIONS } from '../../src/options/table.js'
import { EXIT, Failure, type Command, type Flag, type Given } from '../command.js'
import { PRELOAD } from '../preload.js'

/** `graceMs` is `--grace-ms`. */
const FLAGS = new Map(OPTION_NAMES.map((name) => [flagOf(name), name]))

export const run: Command = {
  name: 'run',
  operands: '-- COMMAND...',
  summary: 'Starts a program with the guard in it and in its children: run --report 9465 -- node app.js',
  about: [
    'Each option of docs/options.md is a flag, with a value as in the environment. Without --log and --report, leaks are\n' +
      'logged on stderr. Signals are handed on, and the exit code is that of the program.',
  ],
  flags: Object.fromEntries(
    [...FLAGS].map(([flag, name]): [string, Flag] => [
      flag,
      { type: 'string', value: 'VALUE', help: OPTIONS[name].doc },
    ]),
  ),
  least: 1,
  most: Infinity,
  run: start,
}

function flagOf(option: string): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

async function start(given: Given): Promise<number> {
  const [file = '', ...args] = given.operands
  const env = environmentFor(given)
  const { problems } = readEnvironment(env)
  if (problems.length > 0) throw new Failure(problems.map(({ message }) => message).join('\n'), EXIT.usage)
  const child = spawn(file, args, { stdio: 'inherit', env })
  const stop = handOnSignals((signal) => child.kill(signal))
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    stop()
    if (signal === null) return code ?? EXIT.failed
    // So that whoever waits for us sees what ended the program.
    process.kill(process.pid, signal)
    return 128 + constants.signals[signal]
  } catch (error) {
    throw new Failure(`${file} can't be started: ${(error as Error).message}`)
  } finally {
    stop()
  }
}

function environmentFor(given: Given): NodeJS.ProcessEnv {
  const env = { ...process.env }
  for (const [flag, name] of FLAGS) env[variableOf(name)] = given.text(flag) ?? env[variableOf(name)]
  const isHeard = (['log', 'report'] as const).some((name) => env[variableOf(name)])
  if (!isHeard) env[variableOf('log')] = 'stderr'
  // Node takes a path with spaces in quotes, where a backslash escapes.
  const path = /[\s"\\]/.test(PRELOAD) ? `"${PRELOAD.replaceAll(/["\\]/g, String.raw`\$&`)}"` : PRELOAD
  env['NODE_OPTIONS'] = `--require ${path} ${env['NODE_OPTIONS'] ?? ''}`.trimEnd()
  return env
}

/** @returns a function that stops it */
function handOnSignals(send: (signal: NodeJS.Signals) => void): () => void {
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']
  function onSignal(signal: NodeJS.Signals): void {
    // A terminal sends it to the program itself.
    const isFromTerminal = process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT')
    if (!isFromTerminal) send(signal)
  }
  for (const signal of signals) process.on(signal, onSignal)
  return () => {
    for (const signal of signals) process.off(signal, onSignal)
  }
}
