import { createInterface } from 'node:readline'
import { styleText } from 'node:util'

export type Style = Parameters<typeof styleText>[0]

/** `styleText()` heeds NO_COLOR from Node 22 on alone; `hasColors()` does everywhere, and FORCE_COLOR. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY && stream.hasColors() ? styleText(style, text) : text
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
