import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Script } from 'node:vm'
import fc from 'fast-check'
import t from 'tap'
import { CONDITIONS } from '../../src/core/vocabulary.js'
import { renderHtml, renderSignIn } from '../../src/report/html.js'
import { escapeHtml } from '../../src/report/markup.js'
import { PAGE_SCRIPT, PAGE_STYLE } from '../../src/report/page-code.js'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { arbitraryReport } from './arbitrary-report.js'
import { HEALTHY, LEAKY, sampleReport, sampleSocket } from './sample-reports.js'

const ATTRIBUTES = new Set(
  (
    'aria-hidden aria-label aria-labelledby aria-pressed autocomplete charset checked class content data-confirm data-deed ' +
    'data-live data-name data-own data-process data-sight data-socket datetime for hidden href id lang list method name ' +
    'open placeholder points rel required role scope selected size title type value viewBox'
  ).split(' '),
)
const TAGS = new Set(
  (
    '!doctype html head meta title link style body header p time a main section h1 h2 strong dl div dt dd b span table ' +
    'thead tbody tr th td svg polyline details summary ol ul li nav footer script figure figcaption button form input label ' +
    'select option datalist output dialog'
  ).split(' '),
)

/** Finds every tag; throws when a `<`, `>`, tag or attribute is one that the page does not write itself. */
function checkMarkup(html: string): void {
  t.equal(html.split(`<style>${PAGE_STYLE}</style>`).length, 2, 'one style')
  t.equal(html.split(`<script id="page">${PAGE_SCRIPT}</script>`).length, 2, 'one script')
  const rest = html
    .replace(PAGE_STYLE, '')
    .replace(PAGE_SCRIPT, '')
    .replace(/(?<=<script type="application\/json" id="history-data">)[^<]*/, '')
  const text = rest.replace(
    /<\/?(!?[a-z0-9]+)((?: [a-zB-]+(?:="[^"<>]*")?)*)\/?>/g,
    (_, tag: string, list: string) => {
      if (!TAGS.has(tag)) throw new Error(`tag ${tag}`)
      for (const [, name = ''] of list.matchAll(/ ([a-zB-]+)(?:="[^"]*")?/g))
        if (!ATTRIBUTES.has(name) && !(tag === '!doctype' && name === 'html'))
          throw new Error(`attribute ${name}`)
      return ''
    },
  )
  if (/[<>"']/.test(text)) throw new Error(`not escaped: ${text.match(/.{0,40}[<>"'].{0,40}/)?.[0]}`)
  for (const [, entity = ''] of text.matchAll(/&([^;]{0,6};?)/g))
    if (!['amp;', 'lt;', 'gt;', 'quot;', '#39;'].includes(entity)) throw new Error(`entity ${entity}`)
}

t.test('the page is well built, whatever came over the network', async (t) => {
  checkMarkup(renderHtml(LEAKY))
  checkMarkup(renderHtml(HEALTHY))
  checkMarkup(renderSignIn())
  const query = fc.record({ all: fc.boolean(), site: fc.string(), peer: fc.string(), id: fc.nat() })
  const live = fc.option(fc.record({ canAct: fc.boolean() }), { nil: undefined })
  fc.assert(
    fc.property(arbitraryReport, query, live, (report, query, live) => {
      checkMarkup(renderHtml(report, { query, ...(live !== undefined && { live }) }))
    }),
    { numRuns: 100 },
  )
  t.pass()
})

t.test('hostile text is shown, not obeyed', async (t) => {
  const diagnosis = `</script><script>alert("1")</script> & 'x' \u202e`
  const html = renderHtml(sampleReport({ sockets: [sampleSocket(1, { diagnosis })] }))
  t.match(
    html,
    '&lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; \\u{202e}',
  )
  t.equal(escapeHtml('<a href="x">&\'</a>'), '&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;')
})

t.test('nothing is loaded from anywhere and nothing is handled inline', async (t) => {
  const whole = renderHtml(LEAKY, { live: { canAct: true } })
  const html = whole.replace(PAGE_SCRIPT, '').replace(PAGE_STYLE, '')
  t.notMatch(html, / on[a-z]+=/)
  t.notMatch(html, / style=/)
  t.notMatch(html, / src=/)
  t.notMatch(PAGE_STYLE, /url\(|@import/)
  for (const [, address = ''] of html.matchAll(/href="([^"]*)"/g)) t.match(address, /^(?:\?|data:image\/svg)/)
  t.doesNotThrow(() => new Script(PAGE_SCRIPT), 'the script compiles')
  t.notMatch(PAGE_SCRIPT, /<\/script|<!--/i)
  t.notMatch(PAGE_STYLE, /<\/style/i)
})

t.test('a leaky process: headline, cards, sites, diagnoses and what is known of a socket', async (t) => {
  const html = renderHtml(LEAKY)
  t.match(html, '<title>4 leaked · socket-leak-guard</title>')
  t.match(html, '<h1>4 sockets leaked, 2 suspect</h1>')
  t.match(html, '<div class="card leaked"><dt>Leaked</dt><dd><b>4</b>')
  t.match(html, '<div class="card zero"><dt>Reclaimed</dt><dd><b>0</b>')
  t.match(html, 'Kernel view: proc – the package koffi is not installed')
  for (const socket of LEAKY.sockets) t.match(html, `<p>${escapeHtml(socket.diagnosis)}</p>`)
  for (const text of [
    'GET /chat',
    'room 12',
    'user=u-829, tenant=north',
    'at handleUpgrade (/app/src/chat.js:48:17)',
  ])
    t.match(html, text)
  t.match(html, '← [2001:db8::9]:41000')
  t.match(html, '→ 198.51.100.20:443')
  for (const condition of CONDITIONS) t.match(html, `<dt>${condition}</dt>`)
})

t.test('the trend of a site, where there is one, and sites that leak no longer', async (t) => {
  const html = renderHtml(LEAKY)
  t.match(html, /<\/svg>40 leaked since start · \+13\/h · 2 % of open descriptors<\/td>/)
  t.match(
    html,
    'points="0,22.0 10,22.0 20,22.0 30,22.0 40,22.0 50,22.0 60,15.3 70,15.3 80,8.7 90,8.7 100,8.7 110,2.0 120,2.0"',
  )
  const rows = html.slice(html.indexOf('<h2 id="healed">'))
  t.match(
    rows,
    /GET \/export\/:id<\/th>\n<td [^>]*><span class="badge recovered">recovered<\/span><\/td>\n<td [^>]*>12<\/td>\n<td [^>]*>0<\/td>\n<td [^>]*>5 min<\/td>/,
  )
  t.match(
    rows,
    /to 10\.0\.0\.9:5432<\/th>\n<td [^>]*><span class="badge reclaimed">reclaimed<\/span><\/td>\n<td [^>]*>9<\/td>\n<td [^>]*>7<\/td>\n<td [^>]*>40 min<\/td>/,
  )
  t.notMatch(renderHtml(HEALTHY), /id="healed"|class="trend"/)
  const still = sampleReport({
    ...LEAKY,
    history: { ...LEAKY.history!, sites: [{ site: 'upgrade /chat', net: [0, 0] }] },
  })
  t.notMatch(renderHtml(still), '<polyline', 'no line where nothing changed')
})

t.test('blocked event loops and held ports, when there are any', async (t) => {
  const html = renderHtml(LEAKY)
  t.match(html, 'Event loop: blocked 2 times, for 4 s at the longest; last 5 min ago, for 800 ms')
  t.match(html, /2001:db8::9<\/th>\n<td [^>]*>3000<\/td>\n<td [^>]*>1<\/td><\/tr>/)
  t.notMatch(renderHtml(HEALTHY), /Event loop|Ports held/)
  const ports = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((n) => ({
    remote: `192.0.2.${n}`,
    localPort: 80,
    heldPorts: 1,
  }))
  t.match(renderHtml(sampleReport({ ports })), 'And 1 more peer.')
})

t.test('a healthy process and one without a view of the kernel', async (t) => {
  const html = renderHtml(
    sampleReport({ kernel: { probe: 'none', reason: 'there is no kernel probe for darwin' } }),
  )
  t.match(html, '<h1>All is well</h1>')
  t.match(html, '120 sockets tracked, none suspect, none leaked.')
  t.match(html, 'There is no socket to look at.')
  t.match(html, 'Kernel view: <strong>unavailable</strong> – there is no kernel probe for darwin')
  t.notMatch(html, '<table')
})

t.test('links keep what was asked for, and only a query, so that they hold under any path', async (t) => {
  const live = { canAct: false }
  const query = { all: true, limit: 10, after: 20, site: 'GET /a&b' }
  const html = renderHtml(sampleReport({ nextAfter: 30 }), { query, live })
  const kept = 'limit=10&amp;site=GET+%2Fa%26b&amp;all=1'
  t.match(
    html,
    `<a href="?format=html&amp;limit=10&amp;after=30&amp;site=GET+%2Fa%26b&amp;all=1">Next page</a>`,
  )
  t.match(html, `<a href="?format=html&amp;${kept}">First page</a>`)
  t.match(html, '<a href="?format=json&amp;limit=10&amp;after=20&amp;site=GET+%2Fa%26b&amp;all=1">JSON</a>')
  t.notMatch(renderHtml(HEALTHY, { live }), /First page|Next page/)
  t.notMatch(
    renderHtml(LEAKY).replace(PAGE_SCRIPT, ''),
    /href="\?|<form|<button/,
    'a saved page offers nothing that only an endpoint can do',
  )
})

t.test('the filters show what was asked for', async (t) => {
  const query = {
    site: 'a "b"',
    condition: 'fin-wait',
    direction: 'inbound',
    minAgeMs: 1234,
    all: true,
  } as const
  const html = renderHtml(LEAKY, { query, live: { canAct: true } })
  t.match(html, '<input name="site" list="known-sites" value="a &quot;b&quot;"')
  for (const value of ['fin-wait', 'inbound', '1234']) t.match(html, `<option value="${value}" selected>`)
  t.match(html, '<input type="checkbox" name="all" value="1" checked>')
  t.match(html, '<option value="upgrade /chat">')
})

t.test('who may act is shown buttons, who may not is told why', async (t) => {
  const html = renderHtml(LEAKY, { live: { canAct: true } })
  const { id } = LEAKY.sockets[0]!
  for (const deed of [
    `locate?id=${id}`,
    `reclaim?id=${id}&amp;action=end`,
    `reclaim?id=${id}&amp;action=reset`,
    `exempt?id=${id}`,
  ])
    t.match(html, `data-deed="${deed}"`)
  const without = renderHtml(LEAKY, { live: { canAct: false } })
  t.notMatch(without.replace(PAGE_SCRIPT, ''), 'data-deed')
  t.match(without, 'the endpoint needs a token (option reportToken)')
})

t.test('one socket: its past in order, open at once', async (t) => {
  const socket = sampleSocket(7, {
    sinceMs: 90_000,
    idleMs: 80_000,
    evidence: { lastDataReceivedMs: 120_000, lastAckReceivedMs: 5000 },
  })
  const html = renderHtml(sampleReport({ sockets: [socket] }), { query: { id: 7 } })
  const past = [...html.matchAll(/<li><span class="quiet">([^<]+) ago<\/span> ([^<]+)<\/li>/g)].map(
    ([, ...words]) => words,
  )
  t.match(past, [
    ['2 min', 'data received (kernel)'],
    ['1 min 30 s', /^eof-ignored: the peer closed/],
    ['1 min 20 s', 'the last byte was seen to move'],
    ['5 s', 'the peer acknowledged something (kernel)'],
  ])
  t.match(html, '<details open>')
  t.notMatch(renderHtml(sampleReport({ sockets: [socket] })), '<details open>')
})

t.test('the last hour, in words, as a table and as data', async (t) => {
  const html = renderHtml(LEAKY)
  t.match(
    html,
    'aria-label="Leaked: 4 now, 0 to 4 in the last hour. Suspect: 2 now, 0 to 2 in the last hour. Closed by the guard: 6."',
  )
  t.match(html, '930 of 1024 descriptors are open.')
  t.match(html, /<th scope="row">13:40<\/th><td class="number">1250<\/td>/)
  const [, data = ''] = /id="history-data">([^<]*)</.exec(html) ?? []
  t.match(JSON.parse(data), { leaked: [0, 2, 4] })
  t.notMatch(renderHtml(HEALTHY).replace(PAGE_SCRIPT, ''), 'history-data')
})

/** Relative luminance and contrast as WCAG 2.2 defines them. */
function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (high + 0.05) / (low + 0.05)
}

function luminance(color: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(color.slice(at, at + 2), 16) / 255
    return channel <= 0.040_45 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

t.test('text is readable in light and in dark (WCAG AA)', async (t) => {
  const style = readFileSync(join(PACKAGE_ROOT, 'page', 'style.css'), 'utf8')
  const themes = [...style.matchAll(/:root \{([^}]*)\}/g)].map(
    ([, body = '']) =>
      new Map(
        [...body.matchAll(/--([a-z-]+): (#[0-9a-f]{6})/g)].map(([, name = '', color = '']) => [name, color]),
      ),
  )
  t.equal(themes.length, 2)
  const pairs: Array<[string, string, number]> = [['zero', 'paper', 3]]
  for (const ground of ['ground', 'paper'])
    for (const ink of ['ink', 'quiet', 'link', 'leaked', 'suspect', 'healthy', 'exempt'])
      pairs.push([ink, ground, 4.5])
  for (const verdict of ['leaked', 'suspect', 'healthy', 'exempt'])
    pairs.push([verdict, `${verdict}-tint`, 4.5])
  for (const theme of themes)
    for (const [ink, ground, least] of pairs)
      t.ok(contrast(theme.get(ink) ?? '', theme.get(ground) ?? '') >= least, `${ink} on ${ground}`)
})

t.test('pairs, when there are any', async (t) => {
  t.match(
    renderHtml(LEAKY),
    '<li>Client 203.0.113.7:50140 left 1 min 30 s ago, upstream 10.0.0.5:443 still streams 3.0 MB/s',
  )
  t.notMatch(renderHtml(HEALTHY), 'id="pairs"')
  t.match(renderHtml(sampleReport({ pairs: Array(21).fill(LEAKY.pairs[0]) })), 'And 1 more pair.')
})
