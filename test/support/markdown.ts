import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGE_ROOT } from './package-root.js'

export interface Section {
  readonly title: string
  readonly text: string
}

export interface CodeBlock {
  /** What follows the fence: `js leak`. */
  readonly info: string
  readonly code: string
}

export function readDocument(path: string): string {
  return readFileSync(join(PACKAGE_ROOT, path), 'utf8')
}

/** Everything below each heading of this level; a heading of a higher level ends it too. */
export function sectionsOf(document: string, level: number): Section[] {
  const sections: { title: string; lines: string[] }[] = []
  let isCode = false
  let current: string[] | null = null
  for (const line of document.split('\n')) {
    if (line.startsWith('```')) isCode = !isCode
    const [, hashes = '', title = ''] = (isCode ? null : /^(#+) +(.+)$/.exec(line)) ?? []
    if (hashes !== '' && hashes.length <= level) {
      current = null
      if (hashes.length === level) sections.push({ title, lines: (current = []) })
    } else {
      current?.push(line)
    }
  }
  return sections.map(({ title, lines }) => ({ title, text: lines.join('\n') }))
}

export function codeBlocksOf(text: string): CodeBlock[] {
  return [...text.matchAll(/^```([^\n]*)\n(.*?)^```$/gms)].map(([, info = '', code = '']) => ({
    info: info.trim(),
    code,
  }))
}

/** The cells of every row of every table, without the rule below the head. A `\|` is no border. */
export function tableRowsOf(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => /^\|.*\|$/.test(line) && !/^[|\s:-]+$/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    )
}

/** The anchor that a heading gets on GitHub. */
export function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-')
}
