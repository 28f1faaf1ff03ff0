import t from 'tap'
import { createLeakLog } from '../../src/act/leak-log.js'
import type { EventType, GuardEvent } from '../../src/index.js'

function event(type: EventType, id: number, site: string): GuardEvent {
  return { type, at: '', socket: { id, owner: { site }, diagnosis: `diagnosis ${id}` } } as GuardEvent
}

t.test('once per site and interval, with a count, and once when it is over', async (t) => {
  const lines: string[] = []
  let nowMs = 0
  const log = createLeakLog(
    (line) => lines.push(line),
    1000,
    () => nowMs,
  )
  for (let id = 1; id <= 5; id += 1) log.hear(event('leaked', id, 'GET /a'))
  log.hear(event('leaked', 6, 'GET /b'))
  t.same(lines, [
    'socket-leak-guard: leaked at GET /a: diagnosis 1',
    'socket-leak-guard: leaked at GET /b: diagnosis 6',
  ])
  log.tellRest()
  t.equal(lines.length, 2, 'not before its time')
  nowMs = 1000
  log.hear(event('leaked', 7, 'GET /a'))
  t.match(lines[2], /leaked at GET \/a \(5 since the last line, 6 open\): diagnosis 7/)
  lines.length = 0
  for (const id of [1, 2, 3, 4, 5]) log.hear(event('recovered', id, 'GET /renamed'))
  t.same(lines, [], 'not before the last one is gone')
  log.hear(event('recovered', 7, 'GET /a'))
  t.same(lines, ['socket-leak-guard: 6 recovered at GET /a: nothing leaked there any more'])
  log.hear(event('recovered', 6, 'GET /b'))
  t.equal(lines[1], 'socket-leak-guard: recovered at GET /b: nothing leaked there any more')
  log.hear(event('reclaimed', 99, 'GET /never-told'))
  t.equal(lines.length, 2)
})

t.test('what is closed as fast as it leaks gets two lines an interval', async (t) => {
  const lines: string[] = []
  let nowMs = 0
  const log = createLeakLog(
    (line) => lines.push(line),
    1000,
    () => nowMs,
  )
  for (let id = 1; id <= 20; id += 1) {
    log.hear(event('leaked', id, 'GET /a'))
    log.hear(event('reclaimed', id, 'GET /a'))
    nowMs += 100
    log.tellRest()
  }
  t.same(lines, [
    'socket-leak-guard: leaked at GET /a: diagnosis 1',
    'socket-leak-guard: reclaimed at GET /a: nothing leaked there any more',
    'socket-leak-guard: leaked at GET /a (9 since the last line, 0 open): diagnosis 10',
    'socket-leak-guard: 9 reclaimed at GET /a: nothing leaked there any more',
    'socket-leak-guard: leaked at GET /a (10 since the last line, 0 open): diagnosis 20',
    'socket-leak-guard: 10 reclaimed at GET /a: nothing leaked there any more',
  ])
})

t.test('what was declared exempt is counted no more', async (t) => {
  const lines: string[] = []
  const log = createLeakLog(
    (line) => lines.push(line),
    0,
    () => 0,
  )
  log.hear(event('leaked', 1, 'GET /a'))
  log.forget(1)
  log.forget(1)
  t.equal(lines[1], 'socket-leak-guard: exempt at GET /a: nothing leaked there any more')
  log.hear(event('leaked', 2, 'GET /a'))
  log.hear(event('recovered', 2, 'GET /a'))
  t.equal(lines[3], 'socket-leak-guard: recovered at GET /a: nothing leaked there any more')
  t.equal(lines.length, 4)
})

t.test('the rest of a burst is told when its time has come, once', async (t) => {
  const lines: string[] = []
  let nowMs = 0
  const log = createLeakLog(
    (line) => lines.push(line),
    1000,
    () => nowMs,
  )
  for (let id = 1; id <= 3; id += 1) log.hear(event('leaked', id, 'GET /a'))
  nowMs = 1000
  log.tellRest()
  log.tellRest()
  t.equal(lines.length, 2)
  t.match(lines[1], /leaked at GET \/a \(2 since the last line, 3 open\): diagnosis 3/)
})

t.test('a log function that throws hurts nobody', async (t) => {
  const log = createLeakLog(
    () => {
      throw new Error('disk full')
    },
    0,
    () => 0,
  )
  t.doesNotThrow(() => log.hear(event('leaked', 1, 'GET /a')))
})

t.test('a parted pair has a line of its own', async (t) => {
  const lines: string[] = []
  let nowMs = 0
  const log = createLeakLog(
    (line) => lines.push(line),
    1000,
    () => nowMs,
  )
  log.hear(event('leaked', 1, 'GET /a'))
  log.hearParted('GET /a', 'one left')
  log.hearParted('GET /a', 'another left')
  nowMs = 1000
  log.tellRest()
  t.same(lines, [
    'socket-leak-guard: leaked at GET /a: diagnosis 1',
    'socket-leak-guard: parted at GET /a: one left',
    'socket-leak-guard: parted at GET /a: another left',
  ])
})
