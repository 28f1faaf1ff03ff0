/** The table of docs/options.md, made from the table in the code. */
import { variableOf } from '../../src/options/env.js'
import { OPTION_NAMES, OPTIONS } from '../../src/options/table.js'

export const TABLE_BEGIN = '<!-- begin: made from src/options/table.ts by `npm run docs` -->'
export const TABLE_END = '<!-- end -->'

/** A default as both tables show it; what is off is `off`. */
export function formatDefault(value: unknown): string {
  if (value === null || value === false) return 'off'
  if (typeof value === 'string') return `\`'${value}'\``
  if (typeof value !== 'object') return `\`${String(value)}\``
  const fields = Object.entries(value).map(
    ([name, part]) => `${name}: ${typeof part === 'string' ? `'${part}'` : String(part)}`,
  )
  return `\`{ ${fields.join(', ')} }\``
}

export function renderOptionTable(): string {
  const rows = OPTION_NAMES.map((name) => {
    const { rule, perServer, default: value, doc } = OPTIONS[name]
    return [
      `[\`${name}\`](#${name.toLowerCase()})`,
      formatDefault(value),
      doc,
      escapeCell(rule.expects),
      `\`${variableOf(name)}\`${inEnvironment(rule)}`,
      perServer ? 'yes' : '',
    ]
  })
  const head = ['option', 'default', 'meaning', 'must be', 'in the environment', 'per server and socket']
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Only what differs from the value in code. */
function inEnvironment({ expects, envExpects }: { expects: string; envExpects: string }): string {
  return envExpects === expects.replaceAll('"', '') ? '' : `: ${escapeCell(envExpects)}`
}

/** The document with a fresh table between the two marks. */
export function withOptionTable(document: string): string {
  const begin = document.indexOf(TABLE_BEGIN)
  const end = document.indexOf(TABLE_END)
  if (begin === -1 || end < begin) throw new Error('docs/options.md has no place for its table')
  return `${document.slice(0, begin + TABLE_BEGIN.length)}\n\n${renderOptionTable()}\n\n${document.slice(end)}`
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|')
}
