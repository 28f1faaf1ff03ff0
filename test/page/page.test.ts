/** The report page in a real browser: what it shows, what it can do, and that it says when the process is gone. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import axe from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { findBrowser, launchBrowser } from '../support/browser.js'
import { until } from '../support/until.js'
import type { SnapshotQuery } from '../../src/core/report.js'
import { buildInSteps } from '../../src/report/build.js'
import { renderHtml } from '../../src/report/html.js'
import { createReportHandler } from '../../src/server/handler.js'
import { partsOf } from '../report/sample-parts.js'
import { LEAKY, sampleSocket } from '../report/sample-reports.js'
import { createFakeSource } from '../server/fake-source.js'
import { serve } from '../server/raw-request.js'

t.setTimeout(120_000)

const TOKEN = 'open-sesame'
const path = findBrowser()
// CI installs one (.ci/run); elsewhere nothing is loaded from the network.
if (path === null) t.pass('the page could not be tried: there is no chromium here, nor in $CHROMIUM')
else tryInBrowser(await launchBrowser(t, path))

interface Host {
  readonly child: ChildProcess
  readonly url: string
  readonly port: number
  readonly pid: number
}

async function startHost(t: Test, { at = '127.0.0.1:0', token = TOKEN } = {}): Promise<Host> {
  const program = join(import.meta.dirname, '..', 'support', 'page-host.js')
  const child = spawn(process.execPath, [program, at, token], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, ...(JSON.parse(line.toString()) as Omit<Host, 'child'>) }
}

/** Peers that ask for an upgrade, end, and stay. */
async function leak(t: Test, { port }: Host, path: string, count = 1): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const peer: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    peer.on('error', () => {})
    t.teardown(() => peer.destroy())
    peer.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n`)
    await once(peer, 'data')
    peer.end()
  }
}

async function reportOf({ url }: Host, query = ''): Promise<{ totals: Record<string, number> }> {
  const response = await fetch(`${url}?format=json&${query}`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  })
  return (await response.json()) as { totals: Record<string, number> }
}

async function untilLeaked(host: Host, count: number): Promise<void> {
  await until(async () => (await reportOf(host)).totals['leaked'] === count, `${count} have leaked`)
}

function tryInBrowser(browser: Browser): void {
  const faultsOf = new Map<Page, string[]>()

  async function blankPage(t: Test, { colorScheme = 'light', width = 1200 }: Look = {}): Promise<Page> {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } })
    t.teardown(() => context.close())
    return context.newPage()
  }

  async function open(t: Test, { url }: Pick<Host, 'url'>, look: Look = {}): Promise<Page> {
    const page = await blankPage(t, look)
    const faults: string[] = []
    faultsOf.set(page, faults)
    page.on('request', (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith('data:'))
        faults.push(`asks ${request.url()}`)
    })
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      // The status 401 of the page that asks for the token, and a lost connection, are told there too.
      const isExpected = message.text().startsWith('Failed to load resource')
      if (message.type() === 'error' && !isExpected) faults.push(message.text())
    })
    await page.goto(url)
    await page.fill('#token', TOKEN)
    await page.click('#sign-in button')
    await page.waitForSelector('html[data-link=live]')
    return page
  }

  function checkFaultless(t: Test, page: Page): void {
    t.same(faultsOf.get(page), [], 'no error, nothing that the policy forbids, nothing asked of anybody else')
  }

  async function checkUnspilled(t: Test, page: Page): Promise<void> {
    const [wide, inside] = await page.evaluate(() => {
      const { documentElement } = (globalThis as unknown as { document: Doc }).document
      return [documentElement.scrollWidth, documentElement.clientWidth]
    })
    t.equal(wide, inside, 'nothing sticks out')
  }

  async function checkAccessible(t: Test, page: Page, what: string): Promise<void> {
    // The policy of the page forbids a script element; the debugger's evaluation is none.
    await page.evaluate(axe.source)
    const violations = await page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }
      return (await axe.run()).violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`,
      )
    })
    t.same(violations, [], `${what} has no fault that axe-core knows`)
  }

  t.test('it asks for the token, shows what leaks, and is for everybody to read', async (t) => {
    const host = await startHost(t)
    await leak(t, host, '/feed', 2)
    await leak(t, host, '/chat', 1)
    await untilLeaked(host, 3)
    const asking = await blankPage(t)
    await asking.goto(host.url)
    await checkAccessible(t, asking, 'the question for the token')
    await asking.fill('#token', 'wrong-token')
    await asking.click('#sign-in button')
    await asking.waitForSelector('#wrong:not([hidden])')
    t.equal(await asking.locator('.cards').count(), 0)

    for (const look of [{}, { colorScheme: 'dark', width: 390 }] as const) {
      const page = await open(t, host, look)
      t.match(await page.title(), '3 leaked')
      await page.locator('.sockets summary').first().click()
      await checkAccessible(t, page, JSON.stringify(look))
      await checkUnspilled(t, page)
      t.equal(await page.locator('.chart canvas').count(), 2)
      const lines = await page.locator('#chart-leaks .u-series').allTextContents()
      t.same(lines.slice(1), ['leaked', 'suspect', 'reclaimed'])
      checkFaultless(t, page)
    }
  })

  t.test('it lives: what leaks meanwhile appears, and what was opened stays open', async (t) => {
    const host = await startHost(t)
    await leak(t, host, '/feed')
    await untilLeaked(host, 1)
    const page = await open(t, host)
    await page.locator('.sockets summary').first().click()
    await page.focus('#pause')
    await leak(t, host, '/later')
    await page.waitForSelector('text=upgrade /later')
    await page.waitForFunction(() =>
      (globalThis as unknown as { document: Doc }).document.title.startsWith('2 leaked'),
    )
    t.equal(await page.locator('.sockets details[open]').count(), 1)
    t.equal(
      await page.evaluate(() => (globalThis as unknown as { document: Doc }).document.activeElement.id),
      'pause',
    )
    await page.keyboard.press('Enter')
    await page.waitForSelector('html[data-link=paused]')
    t.match(await page.textContent('#link'), /^Paused at \d\d:\d\d:\d\d UTC\.$/)
    checkFaultless(t, page)
  })

  t.test('filters live in the URL, and so do pages and a single socket', async (t) => {
    const host = await startHost(t)
    await leak(t, host, '/feed', 110)
    await leak(t, host, '/chat', 3)
    await untilLeaked(host, 113)
    const page = await open(t, host)
    t.equal(await page.locator('.sockets tbody tr').count(), 100)
    await page.click('text=Next page')
    await page.waitForFunction(() =>
      (globalThis as unknown as { location: Location }).location.search.includes('after='),
    )
    await page.waitForSelector('text=First page')
    t.equal(await page.locator('.sockets tbody tr').count(), 13)
    await page.click('.sites a >> text=upgrade /chat')
    await page.waitForFunction(() =>
      (globalThis as unknown as { location: Location }).location.search.includes('site=upgrade'),
    )
    await until(
      async () => (await page.locator('.sockets tbody tr').count()) === 3,
      'the site alone is listed',
    )
    t.equal(await page.inputValue('[name=site]'), 'upgrade /chat')
    await page.selectOption('[name=verdict]', 'suspect')
    await page.keyboard.press('Tab')
    await page.click('#filters button')
    await page.waitForSelector('text=No sockets on this page')
    t.match(page.url(), 'site=upgrade+%2Fchat')
    t.match(page.url(), 'verdict=suspect')
    await page.goBack()
    await until(async () => (await page.locator('.sockets tbody tr').count()) === 3, 'back')
    t.equal(await page.inputValue('[name=verdict]'), '')
    await page.locator('.sockets summary').first().click()
    const name = await page.locator('.sockets dl a').first().textContent()
    await page.locator('.sockets dl a').first().click()
    await until(async () => (await page.locator('.sockets tbody tr').count()) === 1, 'one alone')
    t.match(page.url(), `id=${name!.slice(1)}`)
    t.ok(await page.locator('.timeline li').first().isVisible())
    checkFaultless(t, page)
  })

  t.test('ten thousand leaks: the page stays small, and any of them can be found', async (t) => {
    const COUNT = 10_000
    const parts = partsOf(
      Array.from({ length: COUNT }, (_, i) =>
        sampleSocket(i + 1, {
          sinceMs: 10_000_000 - i,
          remote: { address: '203.0.113.7', port: 1024 + i },
          owner: { site: i < COUNT / 2 ? 'upgrade /chat' : `GET /only/${i + 1}` },
        }),
      ),
    )
    const reportInSteps = (query: SnapshotQuery) => buildInSteps(parts, query)
    const port = await serve(
      t,
      createReportHandler({ ...createFakeSource(), reportInSteps }, { token: TOKEN }),
    )
    const url = `http://127.0.0.1:${port}/`
    for (const look of [{}, { colorScheme: 'dark', width: 390 }] as const) {
      const page = await open(t, { url }, look)
      t.match(await page.title(), `${COUNT} leaked`)
      t.equal(await page.locator('.sockets tbody tr').count(), 100)
      const elements = await page.locator('*').count()
      t.ok(elements < 5000, `${elements} elements`)
      await checkUnspilled(t, page)
      await checkAccessible(t, page, `ten thousand leaks, ${JSON.stringify(look)}`)
      await page.click('text=Next page')
      await page.waitForSelector('#socket-101')
      t.equal(await page.locator('#socket-100').count(), 0)
      await page.fill('[name=site]', `GET /only/${COUNT}`)
      await page.click('#filters button')
      await page.waitForSelector(`#socket-${COUNT}`)
      t.match(page.url(), `site=GET+%2Fonly%2F${COUNT}`)
      t.equal(await page.locator('.sockets tbody tr').count(), 1)
      await page.locator('.sockets summary').click()
      t.ok(await page.locator('.timeline li').first().isVisible())
      checkFaultless(t, page)
    }
    const headers = { authorization: `Bearer ${TOKEN}` }
    const sent = await (await fetch(`${url}?format=html`, { headers })).text()
    t.ok(sent.length < 500_000, `${sent.length} bytes`)
  })

  t.test('deeds: asked twice, done once, and what came of it is shown', async (t) => {
    const host = await startHost(t)
    await leak(t, host, '/feed', 3)
    await untilLeaked(host, 3)
    const page = await open(t, host)
    const summaries = page.locator('.sockets summary')
    await summaries.first().click()
    await page.click('text=Show code')
    await page.waitForSelector('.deeds .stack li')
    t.match(await page.locator('.deeds .stack').textContent(), /keepReading: .*page-host\.[jt]s:\d+/)

    await page.locator('button:text-is("Destroy")').first().click()
    t.match(await page.textContent('#confirm'), /Destroy socket #\d+\?.*not sent yet is lost/s)
    await checkAccessible(t, page, 'the question')
    await page.keyboard.press('Escape')
    await page.locator('button:text-is("Destroy")').first().click()
    await page.click('#confirm-no')
    t.equal((await reportOf(host)).totals['leaked'], 3, 'not meant, not done')

    await page.locator('button:text-is("Exempt")').first().click()
    await page.click('#confirm-yes')
    await page.waitForSelector('button:text-is("No longer exempt")')
    t.match((await reportOf(host)).totals, { leaked: 2, exempt: 1 })
    t.match(await page.locator('output').first().textContent(), 'Exempt: done. It is there')

    await page.locator('button:text-is("Destroy")').first().click()
    await page.click('#confirm-yes')
    await until(async () => (await reportOf(host)).totals['reclaimed'] === 1, 'it is closed')
    await until(async () => (await page.locator('.sockets tbody tr').count()) === 2, 'it leaves the page')
    t.match(await page.textContent('#news'), /Destroy socket #\d+: done\. It is closed\./)
    checkFaultless(t, page)
  })

  t.test('without a token it can be read, and says why nothing can be done', async (t) => {
    const host = await startHost(t, { token: 'off' })
    await leak(t, host, '/feed')
    const page = await blankPage(t)
    await page.goto(host.url)
    await page.waitForSelector('html[data-link=live]')
    await page.waitForSelector('text=upgrade /feed')
    t.equal(await page.locator('[data-deed]').count(), 0)
    t.match(await page.textContent('main'), 'the endpoint needs a token')
  })

  t.test('without scripts it is the report, with filters', async (t) => {
    const host = await startHost(t, { token: 'off' })
    await leak(t, host, '/feed', 2)
    await leak(t, host, '/chat')
    const context = await browser.newContext({ javaScriptEnabled: false })
    t.teardown(() => context.close())
    const page = await context.newPage()
    await until(async () => {
      await page.goto(host.url)
      return (await page.locator('.sockets tbody tr').count()) === 3
    }, 'they are listed')
    await page.fill('[name=site]', 'upgrade /chat')
    await page.click('#filters button')
    await page.waitForURL(/site=upgrade/)
    t.equal(await page.locator('.sockets tbody tr').count(), 1)
  })

  t.test('a saved page shows its charts, and offers nothing that it has not', async (t) => {
    const file = join(t.testdir({ 'saved.html': renderHtml(LEAKY) }), 'saved.html')
    const page = await blankPage(t)
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    await page.goto(pathToFileURL(file).href)
    t.equal(await page.locator('.chart canvas').count(), 2)
    t.equal(await page.locator('button, form').count(), 0)
    await checkAccessible(t, page, 'a saved page')
    t.same(
      asked.filter((url) => !url.startsWith('data:')),
      [page.url()],
    )
  })

  t.test('it works below a path of somebody else', async (t) => {
    const handler = createReportHandler(createFakeSource(), { token: TOKEN, basePath: '/ops/leaks' })
    const port = await serve(t, handler)
    const page = await open(t, { url: `http://127.0.0.1:${port}/ops/leaks` })
    t.match(await page.title(), '4 leaked')
    await page.click('.sites a >> text=upgrade /chat')
    await page.waitForURL(/\/ops\/leaks\?format=html&site=upgrade/)
    checkFaultless(t, page)
  })

  t.test('a process that is gone, and another one in its place', async (t) => {
    const host = await startHost(t)
    const page = await open(t, host)
    host.child.kill('SIGKILL')
    await page.waitForSelector('html[data-link=lost]')
    t.match(
      await page.textContent('#link'),
      /^The connection to the process is lost\. This is how it was at \d\d:/,
    )
    await checkAccessible(t, page, 'the page of a lost process')
    await startHost(t, { at: new URL(host.url).host })
    await page.waitForSelector('text=This is another process')
    t.match(await page.textContent('#link'), `another process than before (that was pid ${host.pid})`)
  })
}

interface Look {
  readonly colorScheme?: 'light' | 'dark'
  readonly width?: number
}

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string }[]
}

interface Doc {
  readonly title: string
  readonly documentElement: { readonly scrollWidth: number; readonly clientWidth: number }
  readonly activeElement: { readonly id: string }
}

interface Location {
  readonly search: string
}
