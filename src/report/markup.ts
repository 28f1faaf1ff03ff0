/** An HTML template tag that escapes its values, except for markup. */
import { makePrintable } from './printable.js'

export class Markup {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

type Part = Markup | readonly Markup[] | string | number | null | false

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;' },
  ...{ '"': '&quot;', "'": '&#39;' },
}

/** For text and quoted attribute values. Unprintable characters become escapes. */
export function escapeHtml(text: string): string {
  return makePrintable(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}

export function markup(literals: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(literals.map((literal, i) => literal + sourceOf(parts[i] ?? null)).join(''))
}

function sourceOf(part: Part): string {
  if (part === null || part === false) return ''
  if (part instanceof Markup) return part.source
  if (typeof part === 'object') return part.map((item) => item.source).join('')
  return escapeHtml(String(part))
}
