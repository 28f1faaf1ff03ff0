/** Reads TypeScript as text, well enough to tell code from what is said in comments and strings. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { PACKAGE_ROOT } from './package-root.js'

export interface Import {
  /** As it is written, or, if it is relative, the path of the source from the package's root. */
  readonly target: string
  /** Gone when compiled. `import { type A }` is not: the module is loaded all the same. */
  readonly isTypeOnly: boolean
}

export interface SourceFile {
  /** From the package's root, with slashes. */
  readonly path: string
  readonly text: string
  /** Without comments. */
  readonly bare: string
  /** Without comments and without the text of strings, templates and regular expressions. */
  readonly code: string
  readonly imports: readonly Import[]
}

/** Every source below these directories. */
export function readSources(...directories: string[]): SourceFile[] {
  return directories.flatMap((directory) =>
    readdirSync(join(PACKAGE_ROOT, directory), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[cm]?ts$/.test(name))
      .sort()
      .map((name) => readSource(join(directory, name).replaceAll(sep, '/'))),
  )
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(PACKAGE_ROOT, path), 'utf8')
  const bare = strip(text, true)
  return { path, text, bare, code: strip(text, false), imports: importsOf(bare, path) }
}

/** Statements begin their line; text in a string that looks like one seldom does. */
const STATIC = /^(?:import|export)\s+(type\s+)?(?:[\w$*\s{},]+?\s+from\s+)?(['"])([^'"\n]+)\2/gm
const DYNAMIC = /\b(?:import|require)\s*\(\s*(['"])([^'"\n]+)\1/g

export function importsOf(bare: string, path: string): Import[] {
  const found = [...bare.matchAll(STATIC)].map(([, type, , target]) => ({
    target: resolveFrom(path, target!),
    isTypeOnly: type !== undefined,
  }))
  const loaded = [...bare.matchAll(DYNAMIC)].map(([, , target]) => ({
    target: resolveFrom(path, target!),
    isTypeOnly: false,
  }))
  return [...found, ...loaded]
}

function resolveFrom(path: string, target: string): string {
  if (!target.startsWith('.')) return target
  const compiled = relative(PACKAGE_ROOT, join(PACKAGE_ROOT, dirname(path), target)).replaceAll(sep, '/')
  return compiled.replace(/\.([cm]?)js$/, '.$1ts')
}

/** Before one of these, a slash begins a regular expression; elsewhere it divides. */
const BEFORE_REGEXP = /(^|[(,=:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|new|void|throw|else|do))$/

/** Takes the comments out, and the text of literals unless it is wanted. Lines stay where they are. */
export function strip(source: string, keepsText: boolean): string {
  let out = ''
  let at = 0
  let depth = 0
  /** For each template literal that is open: the depth of braces at which its substitution ends. */
  const substitutions: number[] = []

  function take(end: number, isText: boolean): void {
    const taken = source.slice(at, end)
    out += isText && !keepsText ? taken.replaceAll(/[^\n]/g, '') : taken
    at = end
  }

  function takeTemplate(): void {
    let end = at
    while (end < source.length && source[end] !== '`' && !source.startsWith('${', end)) {
      end += source[end] === '\\' ? 2 : 1
    }
    take(end, true)
    if (source[at] === '`') {
      take(at + 1, false)
    } else {
      substitutions.push(depth)
      take(at + 2, false)
    }
  }

  while (at < source.length) {
    const char = source[at]!
    const pair = source.slice(at, at + 2)
    if (pair === '//' || pair === '/*') {
      const end = pair === '//' ? source.indexOf('\n', at) : source.indexOf('*/', at + 2) + 2
      const skipped = source.slice(at, end <= at ? source.length : end)
      out += skipped.replaceAll(/[^\n]/g, '')
      at += skipped.length
    } else if (char === "'" || char === '"') {
      take(at + 1, false)
      take(endOfLiteral(source, at, char), true)
      take(at + 1, false)
    } else if (char === '`') {
      take(at + 1, false)
      takeTemplate()
    } else if (char === '}' && substitutions.at(-1) === depth) {
      substitutions.pop()
      take(at + 1, false)
      takeTemplate()
    } else if (char === '/' && BEFORE_REGEXP.test(out.trimEnd().slice(-10))) {
      take(at + 1, false)
      take(endOfLiteral(source, at, '/'), true)
      take(at + 1, false)
    } else {
      if (char === '{') depth += 1
      else if (char === '}') depth -= 1
      take(at + 1, false)
    }
  }
  return out
}

/** Where the closing mark is: a backslash and, in a regular expression, brackets take its meaning away. */
function endOfLiteral(source: string, from: number, mark: string): number {
  let inClass = false
  for (let at = from; at < source.length; at += 1) {
    const char = source[at]
    if (char === '\\') at += 1
    else if (char === mark && !inClass) return at
    else if (mark === '/' && char === '[') inClass = true
    else if (char === ']') inClass = false
  }
  return source.length
}
