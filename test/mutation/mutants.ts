/**
 * Small changes to a program, each of which a test should notice. Made in the text of the compiled module, at the places that its
 * syntax tree (ESTree) tells.
 */
import { parseAst } from 'rolldown/parseAst'

export interface Mutant {
  /** The line of the change, with `«before → after»` in its place. */
  readonly change: string
  /** The whole module with the change. */
  readonly code: string
}

type SyntaxNode = { readonly type: string; readonly start: number; readonly end: number } & Readonly<
  Record<string, unknown>
>

interface Replacement {
  readonly start: number
  readonly end: number
  readonly text: string
}

const SWAPPED_OPERATORS: Readonly<Record<string, readonly string[]>> = {
  '===': ['!=='],
  '!==': ['==='],
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '+': ['-'],
  '-': ['+'],
  '*': ['/'],
  '/': ['*'],
  '&&': ['||'],
  '||': ['&&'],
  '??': ['&&'],
}

const SWAPPED_NAMES: Readonly<Record<string, string>> = { min: 'max', max: 'min' }

export function mutantsOf(code: string): Mutant[] {
  const found: Mutant[] = []
  for (const node of nodesOf(parseAst(code))) {
    for (const { start, end, text } of replacementsOf(node, code)) {
      const before = code.slice(start, end)
      if (before === text) continue
      const [head, tail] = [code.slice(0, start), code.slice(end)]
      const around = [head.slice(head.lastIndexOf('\n') + 1), tail.slice(0, tail.indexOf('\n'))] as const
      found.push({
        change: oneLine(`${around[0]}«${before} → ${text}»${around[1]}`),
        code: head + text + tail,
      })
    }
  }
  return found
}

function* nodesOf(value: unknown): Generator<SyntaxNode> {
  if (typeof value !== 'object' || value === null) return
  if (isNode(value)) yield value
  for (const inner of Object.values(value)) yield* nodesOf(inner)
}

function isNode(value: object): value is SyntaxNode {
  return 'type' in value && typeof value.type === 'string' && 'start' in value && 'end' in value
}

function replacementsOf(node: SyntaxNode, code: string): Replacement[] {
  const whole = (text: string): Replacement => ({ start: node.start, end: node.end, text })
  const source = (part: unknown): string => {
    const { start, end } = part as SyntaxNode
    return code.slice(start, end)
  }
  switch (node.type) {
    case 'IfStatement':
    case 'ConditionalExpression': {
      const { start, end } = node['test'] as SyntaxNode
      return ['true', 'false'].map((text) => ({ start, end, text }))
    }
    case 'BinaryExpression':
    case 'LogicalExpression': {
      const [left, right] = [source(node['left']), source(node['right'])]
      const swapped = SWAPPED_OPERATORS[node['operator'] as string] ?? []
      const either = node.type === 'LogicalExpression' ? [left, right] : []
      return [...swapped.map((operator) => `(${left} ${operator} ${right})`), ...either].map(whole)
    }
    case 'UnaryExpression':
      return node['operator'] === '!' ? [whole(source(node['argument']))] : []
    case 'Literal':
      return literalsFor(node['value']).map(whole)
    case 'ArrayExpression':
      return (node['elements'] as unknown[]).length > 0 ? [whole('[]')] : []
    case 'SwitchCase': {
      const body = node['consequent'] as SyntaxNode[]
      const [first, last] = [body.at(0), body.at(-1)]
      return first === undefined ? [] : [{ start: first.start, end: last!.end, text: 'break' }]
    }
    case 'ExpressionStatement':
      return [whole(';')]
    case 'MemberExpression': {
      const { start, end, name } = node['property'] as SyntaxNode
      const swapped = SWAPPED_NAMES[name as string]
      return swapped === undefined ? [] : [{ start, end, text: swapped }]
    }
    default:
      return []
  }
}

function literalsFor(value: unknown): string[] {
  if (typeof value === 'boolean') return [String(!value)]
  if (typeof value === 'number') return [String(value + 1)]
  // The paths of imports are literals too.
  return typeof value === 'string' && value !== '' && !value.startsWith('.') ? ['""'] : []
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s+/g, ' ')
}
