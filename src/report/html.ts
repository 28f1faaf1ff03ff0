/**
 * The report as one page that loads nothing: no image, font, style sheet or script from anywhere, so it can be saved,
 * mailed, and shown under a policy that allows nothing but the page's own style and script
 * (`PAGE_STYLE` and `PAGE_SCRIPT`, whose hashes the server names). It says everything without its script, which only
 * tells the reader that something has changed since.
 */
import { formatDuration } from '../core/format.js'
import type { Report, SnapshotQuery, Totals } from '../core/report.js'
import { CONDITIONS } from '../core/vocabulary.js'
import { describeCondition } from './describe-condition.js'
import { countSockets, describeStalls } from './describe-socket.js'
import { formatInstant } from './format-instant.js'
import { describeBooks } from './describe-books.js'
import { renderPairs } from './html-pairs.js'
import { renderPorts } from './html-ports.js'
import { renderHealed, renderSites } from './html-sites.js'
import { renderSockets } from './html-sockets.js'
import { Markup, markup } from './markup.js'
import { PAGE_ICON } from './page-icon.js'
import { PAGE_SCRIPT } from './page-script.js'
import { PAGE_STYLE } from './page-style.js'
import { withoutQueries } from './without-queries.js'

export const HTML_CONTENT_TYPE = 'text/html; charset=utf-8'

export interface HtmlOptions {
  /** What the report was asked for, so that links keep it. */
  readonly query?: SnapshotQuery
}

export function renderHtml(report: Report, options: HtmlOptions = {}): string {
  const shown = withoutQueries(report)
  const query = options.query ?? {}
  const { source } = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${titleOf(shown.totals)} · socket-leak-guard</title>
<link rel="icon" href="${PAGE_ICON}">
<style>${new Markup(PAGE_STYLE)}</style>
</head>
<body class="${toneOf(shown.totals)}">
${renderBanner(shown, query)}
<main>
${renderHeadline(shown)}
${renderCards(shown.totals)}
${shown.sites.length > 0 && renderSites(shown.sites)}
${shown.pairs.length > 0 && renderPairs(shown.pairs)}
${renderSockets(shown, query.all ?? false)}
${renderPaging(shown, query)}
${shown.healedSites.length > 0 && renderHealed(shown.healedSites)}
${shown.ports.length > 0 && renderPorts(shown.ports)}
</main>
${renderFooter(query)}
<script>${new Markup(PAGE_SCRIPT)}</script>
</body>
</html>
`
  return source
}

function titleOf(totals: Totals): string {
  if (totals.leaked > 0) return `${totals.leaked} leaked`
  return totals.suspect > 0 ? `${totals.suspect} suspect` : 'All is well'
}

function renderBanner(report: Report, query: SnapshotQuery): Markup {
  const { process } = report
  return markup`<header class="banner">
<p class="name">socket-leak-guard</p>
<p class="process">pid ${process.pid} · node ${process.node} · ${process.platform} · up ${formatDuration(process.uptimeSeconds * 1000)}</p>
<p class="made"><time datetime="${report.generatedAt}">${formatInstant(report.generatedAt)}</time> <a class="button" href="${linkTo(query)}">Reload</a></p>
</header>
<p class="news" id="news" role="status" hidden></p>`
}

function renderHeadline(report: Report): Markup {
  const { totals, kernel } = report
  const stalls = describeStalls(report.stalls)
  return markup`<section class="headline">
<h1>${headlineOf(totals)}</h1>
<p>${explain(totals)}</p>
<p class="aside">Kernel view: ${kernel.probe === 'none' ? markup`<strong>unavailable</strong>` : kernel.probe}${kernel.reason !== null && markup` – ${kernel.reason}`}</p>
${stalls !== '' && markup`<p class="aside">Event loop: ${stalls}</p>`}
${describeBooks(report).map(({ name, text }) => markup`<p class="aside">${name}: ${text}</p>`)}
</section>`
}

function toneOf(totals: Totals): string {
  if (totals.leaked > 0) return 'leaked'
  return totals.suspect > 0 ? 'suspect' : 'healthy'
}

function headlineOf(totals: Totals): string {
  if (totals.leaked > 0) {
    const suspects = totals.suspect === 0 ? '' : `, ${totals.suspect} suspect`
    return `${countSockets(totals.leaked)} leaked${suspects}`
  }
  return totals.suspect > 0 ? `${countSockets(totals.suspect)} suspect` : 'All is well'
}

function explain(totals: Totals): string {
  if (totals.leaked > 0)
    return 'Each of them ended or stalled, and its grace period is over. Start with the first site below.'
  if (totals.suspect > 0)
    return 'Something ended or stalled, and the grace period runs: there is nothing to do yet.'
  const tracked = totals.tracked === 0 ? 'No socket is open' : `${countSockets(totals.tracked)} tracked`
  return `${tracked}, none suspect, none leaked.`
}

function renderCards(totals: Totals): Markup {
  return markup`<dl class="cards" aria-label="Totals">
${card('leaked', 'Leaked', totals.leaked, 'grace is over')}
${card('suspect', 'Suspect', totals.suspect, 'grace runs')}
${card('exempt', 'Exempt', totals.exempt, 'meant to be so')}
${card('tracked', 'Tracked', totals.tracked, 'open now')}
</dl>
<dl class="cards small" aria-label="Totals since the guard was installed">
${card('recovered', 'Recovered', totals.recovered, 'by the application')}
${card('reclaimed', 'Reclaimed', totals.reclaimed, 'by the guard')}
${card('dead', 'Dead', totals.dead, 'proven, closed at once')}
</dl>`
}

function card(verdict: string, name: string, count: number, meaning: string): Markup {
  const tone = count === 0 ? 'zero' : verdict
  return markup`<div class="card ${tone}"><dt>${name}</dt><dd><b>${count}</b><span>${meaning}</span></dd></div>`
}

function renderPaging(report: Report, query: SnapshotQuery): Markup {
  const { after, ...firstPage } = query
  const links: Markup[] = []
  if (after !== undefined) links.push(markup`<a href="${linkTo(firstPage)}">First page</a> `)
  if (report.nextAfter !== null)
    links.push(markup`<a href="${linkTo({ ...query, after: report.nextAfter })}">Next page</a> `)
  const toggle = query.all ? 'Hide healthy sockets' : 'Show healthy sockets too'
  links.push(markup`<a href="${linkTo({ ...firstPage, all: !query.all })}">${toggle}</a>`)
  return markup`<nav class="paging" aria-label="Pages">${links}</nav>`
}

function renderFooter(query: SnapshotQuery): Markup {
  return markup`<footer>
<details><summary>What the conditions mean</summary>
<dl class="legend">${CONDITIONS.map((condition) => markup`<dt>${condition}</dt><dd>${describeCondition(condition)}</dd>`)}</dl>
</details>
<p>This report as <a href="${linkTo(query, 'json')}">JSON</a>, <a href="${linkTo(query, 'text')}">text</a> or <a href="${linkTo(query, 'prometheus')}">Prometheus metrics</a>.</p>
</footer>`
}

/** Only a query, which keeps the path: right under any prefix, with and without a slash at its end. */
function linkTo(query: SnapshotQuery, format = 'html'): string {
  const parts = [`format=${format}`]
  if (query.all) parts.push('all=1')
  if (query.limit !== undefined) parts.push(`limit=${query.limit}`)
  if (query.after !== undefined) parts.push(`after=${query.after}`)
  return `?${parts.join('&')}`
}
