import { createInterface } from 'node:readline'
import { inspect } from 'node:util'

type Style = 'bold' | 'red' | 'green' | 'yellow' | 'gray'

/** `util.styleText()` heeds NO_COLOR from Node 22 on alone, and of stdout alone by default; `hasColors()` does everywhere. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  if (!stream.isTTY || !stream.hasColors()) return text
  const [begin, end] = inspect.colors[style]!
  return `\x1b[${begin}m${text}\x1b[${end}m`
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Not part of what a script reads. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY
}

export async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await new Promise<string>((resolve) => {
      lines.question(`${question} [y/N] `, resolve)
      lines.once('close', () => resolve(''))
    })
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
