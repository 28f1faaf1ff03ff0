#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { attach } from './attach/attach.js'
import { completionOf } from './completion/completion.js'
import { columns, EXIT, Failure, helpOf, readArguments, type Command } from './command.js'
import { explain } from './report/explain.js'
import { report } from './report/report.js'
import { top } from './report/top.js'
import { run } from './run/run.js'
import { scan } from './scan/scan.js'
import { torture } from './torture/torture.js'
import { paint, say, tell } from './terminal.js'

const COMMANDS: readonly Command[] = [
  attach,
  scan,
  report,
  top,
  explain,
  torture,
  run,
  completionOf(() => COMMANDS),
]

// Of `| head`, which has what it wanted. What is begun is finished.
process.stdout.on('error', () => {})

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    const isExpected = error instanceof Failure
    tell(
      `${paint('red', 'socket-leak-guard:', process.stderr)} ${isExpected ? error.message : String((error as Error).stack)}`,
    )
    process.exitCode = isExpected ? error.exitCode : EXIT.failed
  },
)

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === '--version' || name === '-v') {
    const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
    say((JSON.parse(manifest) as { version: string }).version)
    return EXIT.fine
  }
  const command = COMMANDS.find((one) => one.name === name)
  if (command === undefined) {
    const isAsked = name === undefined || name === '--help' || name === '-h' || name === 'help'
    if (!isAsked) throw new Failure(`there is no command "${name}"; see socket-leak-guard --help`, EXIT.usage)
    const about = args[0] === undefined ? undefined : COMMANDS.find((one) => one.name === args[0])
    say(about === undefined ? overview() : helpOf(about))
    return name === undefined ? EXIT.usage : EXIT.fine
  }
  const given = readArguments(command, args)
  if (given !== 'help') return command.run(given)
  say(helpOf(command))
  return EXIT.fine
}

function overview(): string {
  return [
    'socket-leak-guard COMMAND [options]',
    'Finds leaked TCP sockets, and whose code leaks them.',
    columns(COMMANDS.map(({ name, operands, summary }) => [`${name} ${operands}`, summary])),
    'socket-leak-guard COMMAND --help tells more. --version: the version.',
    'Exit codes: 0 fine, 1 more leaks than allowed, 2 wrong usage, 3 it could not be done.',
  ].join('\n\n')
}
