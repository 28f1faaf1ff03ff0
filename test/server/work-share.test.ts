/** Readers of the report can't exhaust the process that it guards. */
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type Socket, connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { Report, SnapshotQuery } from '../../src/core/report.js'
import { createReportHandler } from '../../src/server/handler.js'
import { createWorkShare } from '../../src/server/work-share.js'
import { sampleReport, sampleSocket } from '../report/sample-reports.js'
import { until } from '../support/until.js'
import { createFakeSource } from './fake-source.js'
import { request, serve } from './raw-request.js'

function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

t.test('a flood of readers gets a quarter of the time at the most, one answer at a time', async (t) => {
  let made = 0
  const source = createFakeSource(() => {
    made += 1
    block(20)
    return sampleReport()
  })
  const port = await serve(t, createReportHandler(source))
  const begunMs = performance.now()
  const answers = await Promise.all(Array.from({ length: 10 }, () => request(port, 'GET /metrics')))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(made, 10)
  t.ok(performance.now() - begunMs >= 9 * 80, 'nine rests of 60 ms between ten answers of 20 ms')
})

t.test('a scrape waits for one page at the most, and pages for one scrape', async (t) => {
  const share = createWorkShare()
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  const order: string[] = []
  const make = (name: string) => {
    order.push(name)
    block(5)
  }
  const page = (name: string) => share.run(() => make(name))
  const scrape = (name: string) => share.run(() => make(name), undefined, true)
  const pages = ['page 1', 'page 2', 'page 3', 'page 4'].map(page)
  const scrapes = ['scrape 1', 'scrape 2'].map(scrape)
  // Asked for while the endpoint rests.
  await scrapes[1]
  scrapes.push(scrape('scrape 3'))
  await Promise.all([...pages, ...scrapes])
  t.same(order, ['scrape 1', 'page 1', 'scrape 2', 'page 2', 'scrape 3', 'page 3', 'page 4'])
})

t.test('metrics are made before the pages that waited already', async (t) => {
  const made: (number | undefined)[] = []
  let asked = 0
  /** The first goes on until all have been asked for. */
  function* reportInSteps({ limit }: SnapshotQuery): Generator<void, Report> {
    made.push(limit)
    for (let steps = 0; asked < 4 && steps < 1e7; steps += 1) yield
    return sampleReport()
  }
  const handle = createReportHandler({ ...createFakeSource(), reportInSteps })
  const port = await serve(t, (question, response) => {
    asked += 1
    handle(question, response)
  })
  const answers: Promise<unknown>[] = []
  for (const line of ['GET /', 'GET /', 'GET /', 'GET /metrics']) {
    answers.push(request(port, line))
    await until(() => asked === answers.length, 'it is asked')
  }
  await Promise.all(answers)
  t.same(made, [1000, 0, 1000, 1000])
})

t.test('how many wait is bounded, and what fails goes on to the next', async (t) => {
  const share = createWorkShare()
  // The rests keep no process alive.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  const asked = Array.from({ length: 70 }, (_, i) =>
    share.run(() => {
      if (i === 0) throw new Error('the first fails')
      return i
    }),
  )
  await t.rejects(asked[0]!, /the first fails/)
  const rest = await Promise.all(asked.slice(1))
  t.same(
    rest.filter((answer) => answer !== null).length,
    63,
    'sixty-four at once, and the others are told to come again',
  )
  t.equal(await share.run(() => 'later'), 'later')
})

t.test('however many pages wait, a scrape is made', async (t) => {
  const share = createWorkShare()
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  const pages = Array.from({ length: 70 }, () => share.run(() => 'page'))
  const scrapes = Array.from({ length: 70 }, () => share.run(() => 'scrape', undefined, true))
  t.equal(await scrapes[0], 'scrape')
  t.equal((await Promise.all(pages)).filter((page) => page === null).length, 6)
  t.equal(
    (await Promise.all(scrapes)).filter((scrape) => scrape === null).length,
    6,
    'scrapes are bounded too',
  )
})

t.test('for readers that leave while they wait nothing is made or kept', async (t) => {
  let made = 0
  const source = createFakeSource(() => {
    made += 1
    block(20)
    return sampleReport()
  })
  const handle = createReportHandler(source)
  const responses: WeakRef<ServerResponse>[] = []
  const port = await serve(t, (asked, response) => {
    responses.push(new WeakRef(response))
    handle(asked, response)
  })
  for (let i = 0; i < 10; i += 1) {
    const client = connect(port, '127.0.0.1')
    client.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await until(() => responses.length === i + 1, 'it is asked')
    client.destroy()
  }
  t.equal((await request(port, 'GET /')).status, 200, 'it comes after them')
  t.ok(made < 11, `${made} answers are made`)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await until(() => {
    collect()
    return responses.filter((one) => one.deref() !== undefined).length <= 3
  }, 'the responses are let go')
})

/** Has `bytes` left unread, and does not go on. */
class SlowReader extends EventEmitter {
  destroyed = false
  readonly writableLength: number

  constructor(bytes: number) {
    super()
    this.writableLength = bytes
  }

  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

t.test('what readers leave unread is counted together, and the slowest go', async (t) => {
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  for (const longestReadMs of [Infinity, -1]) {
    const share = createWorkShare(1000, longestReadMs)
    const readers = [new SlowReader(600), new SlowReader(600)]
    for (const reader of readers) {
      const response = reader as unknown as ServerResponse
      t.equal(await share.run(() => 'made', response), 'made')
      share.watch(response)
    }
    const isLong = longestReadMs < 0
    t.equal(await share.run(() => 'made'), isLong ? 'made' : null)
    t.same(
      readers.map(({ destroyed }) => destroyed),
      [isLong, isLong],
    )
    readers[0]!.destroy()
    t.equal(await share.run(() => 'made'), 'made', 'one has left')
  }
})

t.test('what slow readers leave unread is bounded', async (t) => {
  const sockets = Array.from({ length: 500 }, (_, id) => sampleSocket(id + 1))
  const source = createFakeSource((): Report => sampleReport({ sockets }))
  const maxUnreadBytes = 8 * 1024 * 1024
  const port = await serve(t, createReportHandler(source, { maxUnreadBytes }))
  const lazy: Socket[] = []
  t.teardown(() => lazy.forEach((client) => client.destroy()))
  const size = (await request(port, 'GET /')).body.length
  // The kernel takes some megabytes of each.
  const enough = 40 + Math.ceil(maxUnreadBytes / size)
  for (let i = 0; i < enough; i += 1) {
    const client = connect(port, '127.0.0.1')
    client.on('error', () => {})
    client.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(8))
    lazy.push(client.pause())
  }
  let status = 200
  await until(async () => {
    ;({ status } = await request(port, 'GET /metrics'))
    return status === 503
  }, 'the endpoint refuses')
  for (const client of lazy) client.destroy()
  await until(async () => (await request(port, 'GET /metrics')).status === 200, 'it serves again')
  t.pass()
})
