/** The reader of source maps beside Node's own, on every map of this package, and on maps that are none. */
import { readdirSync, readFileSync } from 'node:fs'
import { SourceMap, type SourceMapping, type SourceMapPayload } from 'node:module'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { SourceMapText } from '../../../src/observe/stacks/source-map.js'
import { PACKAGE_ROOT } from '../../support/package-root.js'
import { encodeMappings, mapOf, type Segment } from '../../support/source-map.js'

const COMPILED = join(PACKAGE_ROOT, 'build', 'src')

/** What Node's class says, except where it answers for the end of an earlier line. */
function nodeFinds(map: SourceMap, line: number, column: number): object | null {
  const found = map.findEntry(line - 1, column - 1) as Partial<SourceMapping>
  return found.originalSource === undefined || found.generatedLine !== line - 1
    ? null
    : { source: found.originalSource, line: found.originalLine! + 1, column: found.originalColumn! + 1 }
}

function find(json: string, line: number, column: number): object | null {
  const found = new SourceMapText(json).find(line, column)
  return found === null ? null : { source: found.source, line: found.line, column: found.column }
}

t.test('agrees with Node on every line of this package', async (t) => {
  let compared = 0
  for (const name of readdirSync(COMPILED, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.js')) continue
    const json = readFileSync(join(COMPILED, `${name}.map`), 'utf8')
    const theirs = new SourceMap(JSON.parse(json) as SourceMapPayload)
    const ours = new SourceMapText(json)
    for (const [i, text] of readFileSync(join(COMPILED, name), 'utf8').split('\n').entries()) {
      for (let column = 1; column <= text.length + 1; column += 5) {
        const expected = nodeFinds(theirs, i + 1, column)
        const { content = null, ...found } = ours.find(i + 1, column) ?? {}
        compared += 1
        if (expected === null ? content === null : JSON.stringify(found) === JSON.stringify(expected))
          continue
        return t.same(found, expected, `${name}:${i + 1}:${column}`)
      }
    }
  }
  return t.ok(compared > 10_000, `${compared} positions`)
})

const aSegment: fc.Arbitrary<Segment> = fc.oneof(
  fc.tuple(fc.nat(200)),
  fc.tuple(fc.nat(200), fc.nat(2), fc.nat(100_000), fc.nat(100_000)),
)
const aLine = fc
  .uniqueArray(aSegment, { maxLength: 6, selector: ([column]) => column })
  .map((segments) => segments.sort(([a], [b]) => a - b))

t.test('agrees with Node on any map, also where there are too many segments to keep', async (t) => {
  const sources = ['a.ts', 'b.ts', 'c.ts']
  fc.assert(
    fc.property(fc.array(aLine, { maxLength: 20 }), fc.nat(19), fc.nat(210), (lines, line, column) => {
      const filler = Array.from({ length: 3000 }, (): Segment[] => [
        [0, 0, 1, 1],
        [9, 1, 2, 3],
      ])
      // Node gives a source to a segment without one when it is the very last (20.20 to 26.10).
      const many = [...lines, ...filler, ...lines, [[0, 0, 0, 0] as const]]
      const json = mapOf(sources, many)
      const theirs = new SourceMap(JSON.parse(json) as SourceMapPayload)
      for (const at of [line + 1, line + 1000, line + 3001 + lines.length])
        t.strictSame(find(json, at, column + 1), nodeFinds(theirs, at, column + 1))
    }),
    { numRuns: 20 },
  )
})

t.test('what has no source is nowhere', async (t) => {
  const json = mapOf(['a.ts', null], [[[4, 0, 7, 2], [8], [12, 1, 0, 0]], [], [[0, 0, 9, 0]]])
  t.equal(find(json, 1, 4), null, 'before the first segment')
  t.same(find(json, 1, 5), { source: 'a.ts', line: 8, column: 3 })
  t.equal(find(json, 1, 9), null, 'a segment without a source')
  t.equal(find(json, 1, 13), null, 'a source without a name')
  t.equal(find(json, 2, 1), null, 'a line without a segment is not the end of the line before')
  t.equal(find(json, 4, 1), null, 'after the last line')
})

t.test('sections, each with its own root', async (t) => {
  function section(line: number, column: number, source: string): object {
    const map = {
      version: 3,
      sourceRoot: 'root',
      sources: [source],
      mappings: encodeMappings([[[0, 0, 0, 0]], [[2, 0, 1, 0]]]),
    }
    return { offset: { line, column }, map }
  }
  const json = JSON.stringify({ version: 3, sections: [section(0, 0, 'a.ts'), section(1, 10, 'b.ts')] })
  t.same(find(json, 1, 5), { source: 'root/a.ts', line: 1, column: 1 })
  t.same(find(json, 2, 5), { source: 'root/a.ts', line: 2, column: 1 })
  t.same(find(json, 2, 11), { source: 'root/b.ts', line: 1, column: 1 })
  t.same(find(json, 3, 3), { source: 'root/b.ts', line: 2, column: 1 })
  t.equal(find(json, 3, 2), null, 'the column of a section is that of its first line')
})

t.test('a map that is none is refused', async (t) => {
  const whole = { version: 3, sources: ['a.ts'], mappings: 'AAAA' }
  t.same(find(`)]}'\n${JSON.stringify(whole)}`, 1, 1), { source: 'a.ts', line: 1, column: 1 }, 'guarded JSON')
  const broken: [string, unknown][] = [
    ['not an object', null],
    ['another version', { ...whole, version: 2 }],
    ['no sources', { ...whole, sources: undefined }],
    ['no mappings', { ...whole, mappings: 5 }],
    ['a section without an offset', { version: 3, sections: [{ map: whole }] }],
    ['a character that is no digit', { ...whole, mappings: 'AAAA,A!AA' }],
    ['beyond ASCII', { ...whole, mappings: 'AAAA,AÁAA' }],
    ['a number without an end', { ...whole, mappings: 'AAAA,CAAg' }],
    ['a number too long', { ...whole, mappings: 'AAAA,CAAgggggggA' }],
    ['two numbers', { ...whole, mappings: 'AA' }],
    ['six numbers', { ...whole, mappings: 'AAAAAA' }],
    ['a source out of range', { ...whole, mappings: 'AAAA,CCAA' }],
    ['a line before the first', { ...whole, mappings: 'AAAA,CADA' }],
    ['columns out of order', { ...whole, mappings: 'EAAA,DAAA' }],
  ]
  for (const [what, map] of broken) t.throws(() => find(JSON.stringify(map), 1, 1), what)
})
