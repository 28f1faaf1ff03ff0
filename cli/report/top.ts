import { clearTimeout, setTimeout } from 'node:timers'
import { makePrintable } from '../../src/report/printable.js'
import { EXIT, Failure, type Command, type Given } from '../command.js'
import { askerOf, PLACE, PLACES, TOKEN_FLAG, type Ask } from './ask.js'

export const top: Command = {
  name: 'top',
  operands: PLACE,
  summary: 'Shows the report of a running guard in the terminal, again and again; q ends it.',
  about: [PLACES],
  flags: {
    interval: { type: 'string', value: 'SECONDS', help: 'time between two looks (default 2)' },
    token: TOKEN_FLAG,
  },
  least: 1,
  run,
}

const OTHER_SCREEN = '\x1b[?1049h\x1b[?25l'
const OWN_SCREEN = '\x1b[?25h\x1b[?1049l'
const END_KEYS = ['q', '\x03', '\x1b']

async function run(given: Given): Promise<number> {
  const ask = askerOf(given)
  const intervalMs = given.number('interval', 2, 0.1) * 1000
  const { stdin, stdout } = process
  if (!stdin.isTTY || !stdout.isTTY)
    throw new Failure('top needs a terminal; "report" prints once', EXIT.usage)
  let text = await look(ask)
  let isOver = false
  let wake = (): void => {}
  stdin.setRawMode(true).on('data', (key) => {
    isOver ||= END_KEYS.includes(String(key))
    wake()
  })
  stdout.write(OTHER_SCREEN)
  try {
    for (;;) {
      stdout.write(screen(text, stdout.rows || 24, stdout.columns || 80))
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, intervalMs)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (isOver) return EXIT.fine
      text = await look(ask).catch((error: Error) => `${error.message}\n\nIt is asked again. q ends this.`)
    }
  } finally {
    stdout.write(OWN_SCREEN)
    stdin.setRawMode(false).pause()
  }
}

function look(ask: Ask): Promise<string> {
  return ask({ format: 'text', limit: 20 })
}

function screen(text: string, rows: number, columns: number): string {
  const lines = text.split('\n').slice(0, rows - 1)
  return `\x1b[H${lines.map((line) => `${makePrintable(line, columns)}\x1b[K`).join('\r\n')}\x1b[J`
}
