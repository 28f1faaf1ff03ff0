import type { Verdict } from '../core/vocabulary.js'

/** What a line is about; a terminal shows it as a colour. */
export type Paint = Exclude<Verdict, 'none'> | 'healthy' | 'plain'

/** SGR parameters (ECMA-48, 8.3.117). The sixteen basic colours follow the terminal's own theme. */
const CODES: Readonly<Record<Paint, string>> = {
  plain: '',
  healthy: '32',
  suspect: '33',
  leaked: '1;31',
  recovered: '32',
  reclaimed: '36',
  dead: '90',
  exempt: '34',
}

export function paint(line: string, color: Paint): string {
  const code = CODES[color]
  return code === '' ? line : `\x1b[${code}m${line}\x1b[0m`
}
