/** A report is saved while the application goes on, and at once if the process ends meanwhile. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Report } from '../../src/core/report.js'
import { startSaving } from '../../src/incident/save.js'
import { renderJson } from '../../src/report/json.js'
import { sampleReport, sampleSocket } from '../report/sample-reports.js'
import { until } from '../support/until.js'

const MANY = sampleReport({ sockets: Array.from({ length: 400 }, (_, id) => sampleSocket(id + 1)) })
const AS_IT_IS = { isRedacted: false }

function* steps(report: Report, count = 3): Generator<void, Report> {
  for (let i = 0; i < count; i += 1) yield
  return report
}

function turnsOf(t: Test): () => number {
  let turns = 0
  const timer = setInterval(() => (turns += 1), 1)
  t.teardown(() => clearInterval(timer))
  return () => turns
}

t.test('while it is made, the timers of the application run', async (t) => {
  const turns = turnsOf(t)
  /** Makes steps until others have had their turn, or gives up. */
  function* patient(): Generator<void, Report> {
    const begun = turns()
    for (let made = 0; turns() < begun + 2 && made < 1e7; made += 1) yield
    t.ok(turns() >= begun + 2)
    return MANY
  }
  const path = join(t.testdir({}), 'report.json')
  t.equal(await startSaving(path, patient(), AS_IT_IS).saved, path)
  t.equal(readFileSync(path, 'utf8'), renderJson(MANY))
})

t.test('a long one is written in pieces, and the event loop turns between them', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'report.json')
  let made = 0
  const sockets = MANY.sockets.map((socket) => ({ ...socket, toJSON: () => ((made += 1), socket) }))
  const seen: number[] = []
  const saving = startSaving(path, steps({ ...MANY, sockets }), AS_IT_IS)
  let isOver = false
  const over = saving.saved.then(() => (isOver = true))
  while (!isOver) {
    await new Promise(setImmediate)
    if (seen.at(-1) !== made) seen.push(made)
  }
  await over
  t.ok(seen.length > 10, `of 400 sockets so many were made at each turn: ${seen.join(' ')}`)
  t.same(readdirSync(folder), ['report.json'])
})

for (const isWriting of [false, true])
  t.test(`the process ends while it is ${isWriting ? 'written' : 'made'}: it is whole`, async (t) => {
    const folder = t.testdir({})
    const path = join(folder, 'report.json')
    const saving = startSaving(path, steps(MANY, isWriting ? 0 : 1e6), AS_IT_IS)
    saving.saved.catch(() => {})
    if (isWriting)
      await until(() => readdirSync(folder).some((name) => name.endsWith('.tmp')), 'it is written')
    t.notOk(existsSync(path))
    saving.finishNow()
    t.equal(readFileSync(path, 'utf8'), renderJson(MANY))
    t.same(readdirSync(folder), ['report.json'])
  })

t.test('what fails leaves nothing behind', async (t) => {
  const folder = t.testdir({})
  function* failing(): Generator<void, Report> {
    yield
    throw new Error('no report today')
  }
  const failed = { code: 'SLG_ERR_SAVE_REPORT' }
  await t.rejects(startSaving(join(folder, 'a.json'), failing(), AS_IT_IS).saved, {
    ...failed,
    message: "the report can't be saved: no report today",
  })
  const unserialisable = sampleReport({ sockets: [sampleSocket(1n as unknown as number)] })
  await t.rejects(startSaving(join(folder, 'b.json'), steps(unserialisable), AS_IT_IS).saved, failed)
  t.same(readdirSync(folder), [])
})
