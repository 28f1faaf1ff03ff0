import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import type { Evidence } from '../../src/core/report.js'
import {
  CONDITIONS,
  type Direction,
  KERNEL_STATES,
  KINDS,
  PHASES,
  type Sensor,
  VERDICTS,
} from '../../src/core/vocabulary.js'
import { renderJson } from '../../src/report/json.js'
import { arbitraryReport } from './arbitrary-report.js'
import { HEALTHY, LEAKY, sampleReport, sampleSocket } from './sample-reports.js'

const packageRoot = join(import.meta.dirname, '..', '..', '..')
const schema = JSON.parse(readFileSync(join(packageRoot, 'report.schema.json'), 'utf8'))
const validate = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true }).compile(schema)

function errorsOf(report: unknown): string[] {
  validate(JSON.parse(JSON.stringify(report)))
  return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`)
}

t.test('the schema accepts what the renderer writes', async (t) => {
  t.same(errorsOf(HEALTHY), [])
  t.same(errorsOf(LEAKY), [])
  fc.assert(
    fc.property(arbitraryReport, (report) => {
      validate(JSON.parse(renderJson(report)))
      assert.deepEqual(validate.errors ?? [], [])
    }),
    { numRuns: 100 },
  )
})

t.test('every member of the contract is required, wherever it is', async (t) => {
  const report = JSON.parse(JSON.stringify(LEAKY))
  let removed = 0
  const isOptional = (path: string) => path === '/lint' || path === '/history'
  // Maps whose keys are data.
  const isMap = (path: string) => /\/(?:conditions|context|states|faults)$/.test(path)
  function removeEach(value: unknown, path: string): void {
    if (typeof value !== 'object' || value === null) return
    for (const [key, member] of Object.entries(value)) {
      removeEach(member, `${path}/${key}`)
      if (Array.isArray(value) || isMap(path) || isOptional(`${path}/${key}`)) continue
      delete (value as Record<string, unknown>)[key]
      t.notSame(errorsOf(report), [], `${path} without ${key}`)
      ;(value as Record<string, unknown>)[key] = member
      removed += 1
    }
  }
  removeEach(report, '')
  t.ok(removed > 100, `${removed} members`)
  t.same(errorsOf(report), [])
})

t.test('the report and the evidence may grow, nothing else', async (t) => {
  t.same(errorsOf({ ...HEALTHY, later: 1 }), [])
  const socket = sampleSocket(1)
  t.same(
    errorsOf(
      sampleReport({ sockets: [{ ...socket, evidence: { ...socket.evidence, later: 1 } as Evidence }] }),
    ),
    [],
  )
  t.notSame(errorsOf({ ...HEALTHY, sockets: [{ ...socket, later: 1 }] }), [])
  t.notSame(errorsOf({ ...HEALTHY, totals: { ...HEALTHY.totals, later: 1 } }), [])
  t.notSame(errorsOf({ ...HEALTHY, schema: 'socket-leak-guard/report/v2' }), [])
  t.notSame(errorsOf({ ...HEALTHY, sockets: [{ ...socket, condition: 'eof-lost' }] }), [])
  t.notSame(
    errorsOf({ ...HEALTHY, sites: [{ site: 'x', count: 1, oldestMs: 1, conditions: { 'eof-lost': 1 } }] }),
    [],
  )
})

t.test('the words of the schema are the words of the vocabulary', async (t) => {
  const { condition, socket, evidence } = schema.$defs
  t.same(condition.enum, CONDITIONS)
  t.same(socket.properties.phase.enum, PHASES)
  t.same(socket.properties.verdict.enum, VERDICTS)
  t.same(socket.properties.kind.enum, KINDS)
  t.same(socket.properties.kernelState.enum, [...KERNEL_STATES, null])
  // The compiler holds these lists to their types, in which they are not arrays.
  const directions: Record<Direction, true> = { inbound: true, outbound: true }
  const sensors: Record<Sensor, true> = { stream: true, oracle: true, kernel: true }
  const peers: Record<Evidence['peer'], true> = { alive: true, gone: true, unknown: true }
  const setters: Record<Evidence['keepAlive'], true> = { off: true, guard: true, application: true }
  t.same(socket.properties.direction.enum, Object.keys(directions))
  t.same(socket.properties.seenBy.enum, Object.keys(sensors))
  t.same(evidence.properties.peer.enum, Object.keys(peers))
  t.same(evidence.properties.keepAlive.enum, Object.keys(setters))
})
