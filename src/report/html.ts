// The report as one page without external resources. A policy can allow its style and script by hash.
import { formatDuration } from '../core/format.js'
import type {
  CensusReport,
  CodeReport,
  HealedSite,
  PairReport,
  PortsReport,
  Report,
  SiteReport,
  SnapshotQuery,
  SocketReport,
  Totals,
} from '../core/report.js'
import { CONDITIONS } from '../core/vocabulary.js'
import { Markup, markup } from './markup.js'
import { PAGE_SCRIPT, PAGE_STYLE } from './page-code.js'
import { CONFIRM, linkTo, renderDeeds, renderFilters, SIGN_IN, type LivePage } from './page-controls.js'
import { renderHistory, renderTrendLine } from './page-history.js'
import {
  countSockets,
  describeAccesses,
  describeBooks,
  describeCode,
  describeEvidence,
  describeStalls,
  describeTrend,
  timelineOf,
  DESCRIPTIONS,
  formatContext,
  formatInstant,
  formatPartner,
  formatStreams,
  formatRequest,
  formatWaiting,
  isRecovered,
  MOST_CENSUS_LINES,
  MOST_PAIRS,
  MOST_PEERS,
  MOST_SITES,
  nameEndpoint,
} from './phrases.js'
import { withoutQueries } from './printable.js'

export const HTML_CONTENT_TYPE = 'text/html; charset=utf-8'

export interface HtmlOptions {
  readonly query?: SnapshotQuery
  readonly live?: LivePage
}

export function renderHtml(report: Report, options?: HtmlOptions): string {
  return [...writeHtml(report, options)].join('')
}

/** Yields a piece for each socket, so that a writer may pause between them. */
export function* writeHtml(report: Report, { query = {}, live }: HtmlOptions = {}): Generator<string> {
  const shown = withoutQueries({ ...report, sockets: [] })
  const mood = moodOf(shown.totals)
  const { pid, uptimeSeconds } = shown.process
  const startedAt = Math.round(Date.parse(shown.generatedAt) / 60_000 - uptimeSeconds / 60)
  yield markup`${head(mood.title, live !== undefined)}
<body class="${mood.tone}"${live !== undefined && markup` data-process="${pid} ${startedAt}"`}>
${renderBanner(shown, query, live)}
<main>
${renderHeadline(shown, mood)}
${renderCards(shown.totals)}
${shown.history !== undefined && renderHistory(shown.history)}
${shown.sites.length > 0 && renderSites(shown, live)}
${shown.code.length > 0 && renderCode(shown.code)}
${renderCensus(shown.census)}
${shown.pairs.length > 0 && renderPairs(shown.pairs)}
<section aria-labelledby="sockets">
<h2 id="sockets">${query.all ? 'Sockets' : 'Sockets to look at'}</h2>
${live !== undefined && renderFilters(query, shown.sites)}
${live?.canAct === false && markup`<p class="intro">To close a socket or to see its code from here, the endpoint needs a token (option reportToken).</p>`}
`.source
  if (report.sockets.length === 0) {
    const isHealthy = shown.totals.leaked + shown.totals.suspect === 0
    const nothing = isHealthy ? 'There is no socket to look at.' : 'No sockets on this page.'
    yield markup`<p class="nothing">${nothing}</p>`.source
  } else {
    yield markup`<table class="sockets" role="table">
${columns('Verdict', 'What happened', 'Connection', '#Idle')}
<tbody role="rowgroup">`.source
    const isOne = query.id !== undefined || query.fd !== undefined
    for (const socket of report.sockets)
      yield renderSocket(withoutQueries(socket), { isOpen: isOne, live, code: shown.code }).source
    yield '</tbody>\n</table>'
  }
  yield markup`
</section>
${live !== undefined && renderPaging(shown, query)}
${shown.healedSites.length > 0 && renderHealed(shown.healedSites)}
${shown.ports.length > 0 && renderPorts(shown.ports)}
</main>
${renderFooter(query, live)}
${live !== undefined && CONFIRM}
<script id="page">${new Markup(PAGE_SCRIPT)}</script>
</body>
</html>
`.source
}

export function renderSignIn(): string {
  return markup`${head('Token needed', true)}
<body>
${SIGN_IN}
<script id="page">${new Markup(PAGE_SCRIPT)}</script>
</body>
</html>
`.source
}

function head(title: string, isLive: boolean): Markup {
  return markup`<!doctype html>
<html lang="en"${isLive && new Markup(' data-live')}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title} · socket-leak-guard</title>
<link rel="icon" href="${PAGE_ICON}">
<style>${new Markup(PAGE_STYLE)}</style>
</head>`
}

type Mood = Readonly<Record<'tone' | 'title' | 'headline' | 'explanation', string>>

function moodOf({ leaked, suspect, tracked }: Totals): Mood {
  if (leaked > 0)
    return {
      tone: 'leaked',
      title: `${leaked} leaked`,
      headline: `${countSockets(leaked)} leaked${suspect === 0 ? '' : `, ${suspect} suspect`}`,
      explanation:
        'Each of them ended or stalled, and its grace period is over. Start with the first site below.',
    }
  if (suspect > 0)
    return {
      tone: 'suspect',
      title: `${suspect} suspect`,
      headline: `${countSockets(suspect)} suspect`,
      explanation: 'Something ended or stalled, and the grace period runs: there is nothing to do yet.',
    }
  const open = tracked === 0 ? 'No socket is open' : `${countSockets(tracked)} tracked`
  const explanation = `${open}, none suspect, none leaked.`
  return { tone: 'healthy', title: 'All is well', headline: 'All is well', explanation }
}

function renderBanner(report: Report, query: SnapshotQuery, live: LivePage | undefined): Markup {
  const { process } = report
  return markup`<header class="banner">
<p class="name">socket-leak-guard</p>
<p class="process">pid ${process.pid} · node ${process.node} · ${process.platform} · up ${formatDuration(process.uptimeSeconds * 1000)}</p>
<p class="made"><time datetime="${report.generatedAt}">${formatInstant(report.generatedAt)}</time></p>
${live !== undefined && markup`<p class="link"><span id="link" role="status" data-own><a href="${linkTo(query)}">Reload</a></span> <button type="button" id="pause" aria-pressed="false" data-own hidden>Pause</button></p>`}
</header>
${live !== undefined && markup`<p class="news" id="news" role="status" data-own hidden></p>`}`
}

function renderHeadline(report: Report, { headline, explanation }: Mood): Markup {
  const { kernel } = report
  const stalls = describeStalls(report.stalls)
  return markup`<section class="headline">
<h1>${headline}</h1>
<p>${explanation}</p>
<p class="aside">Kernel view: ${kernel.probe === 'none' ? markup`<strong>unavailable</strong>` : kernel.probe}${kernel.reason !== null && markup` – ${kernel.reason}`}</p>
${stalls !== '' && markup`<p class="aside">Event loop: ${stalls}</p>`}
${describeBooks(report).map(({ name, text }) => markup`<p class="aside">${name}: ${text}</p>`)}
</section>`
}

function renderCards(totals: Totals): Markup {
  return markup`<dl class="cards" aria-label="Totals">
${card('leaked', 'Leaked', totals.leaked, 'grace is over')}
${card('suspect', 'Suspect', totals.suspect, 'grace runs')}
${card('stalled', 'Stalled', totals.stalled, 'open, nothing moves')}
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
  const next = report.nextAfter
  return markup`<nav class="paging" aria-label="Pages">${
    after !== undefined && markup`<a href="${linkTo(firstPage)}">First page</a> `
  }${next !== null && markup`<a href="${linkTo({ ...query, after: next })}">Next page</a>`}</nav>`
}

function renderFooter(query: SnapshotQuery, live: LivePage | undefined): Markup {
  return markup`<footer>
<details><summary>What the conditions mean</summary>
<dl class="legend">${CONDITIONS.map((condition) => markup`<dt>${condition}</dt><dd>${DESCRIPTIONS[condition]}</dd>`)}</dl>
</details>
${live !== undefined && markup`<p>This report as <a href="${linkTo(query, 'json')}">JSON</a>, <a href="${linkTo(query, 'text')}">text</a> or <a href="${linkTo(query, 'prometheus')}">Prometheus metrics</a>.</p>`}
</footer>`
}

function columns(...names: readonly string[]): Markup {
  const cells = names.map((name) => {
    const isNumber = name.startsWith('#')
    return markup`<th role="columnheader" scope="col"${isNumber && new Markup(' class="number"')}>${isNumber ? name.slice(1) : name}</th>`
  })
  return markup`<thead role="rowgroup"><tr role="row">${cells}</tr></thead>`
}

function renderSites({ sites, history }: Report, live: LivePage | undefined): Markup {
  const netOf = new Map(history?.sites.map(({ site, net }) => [site, net]))
  return markup`<section aria-labelledby="sites">
<h2 id="sites">Where they come from</h2>
<table class="sites" role="table">
${columns('Site', '#Sockets', '#Oldest', 'Conditions', 'Last hour')}
<tbody role="rowgroup">${sites.slice(0, MOST_SITES).map((site) => renderSite(site, netOf.get(site.site) ?? [], live))}</tbody>
</table>
${renderRest(sites.length - MOST_SITES, 'site')}
</section>`
}

function renderRest(rest: number, one: string): Markup | false {
  return rest > 0 && markup`<p class="intro">And ${rest} more ${rest === 1 ? one : `${one}s`}.</p>`
}

function renderSite(site: SiteReport, net: readonly number[], live: LivePage | undefined): Markup {
  const present = CONDITIONS.filter((condition) => site.conditions[condition])
  const trend = describeTrend(site).join(' · ')
  const name = markup`<span class="text">${site.site}</span>`
  return markup`
<tr role="row"><th role="rowheader" scope="row">${live === undefined ? name : markup`<a href="${linkTo({ site: site.site })}">${name}</a>`}</th>
${number('Sockets', site.count)}
${number('Oldest', formatDuration(site.oldestMs))}
<td role="cell" data-name="Conditions">${present.map((condition) => markup`<span class="chip" title="${DESCRIPTIONS[condition]}">${condition} <b>${site.conditions[condition] ?? 0}</b></span> `)}</td>
<td role="cell" class="trend">${renderTrendLine(net)}${trend}</td></tr>`
}

function renderHealed(sites: readonly HealedSite[]): Markup {
  return markup`<section aria-labelledby="healed">
<h2 id="healed">No longer leaking</h2>
<p class="intro">Within the last hour. A site whose sockets the guard closed may well leak again.</p>
<table class="healed" role="table">
${columns('Site', 'State', '#Leaked since start', '#Closed by the guard', '#Leak-free for')}
<tbody role="rowgroup">${sites.map(renderHealedSite)}</tbody>
</table>
</section>`
}

function renderHealedSite(site: HealedSite): Markup {
  const state = isRecovered(site) ? 'recovered' : 'reclaimed'
  return markup`
<tr role="row"><th role="rowheader" scope="row" class="text">${site.site}</th>
<td role="cell"><span class="badge ${state}">${state}</span></td>
${number('Leaked', site.leakedTotal)}
${number('Closed by the guard', site.reclaimed)}
${number('Leak-free for', formatDuration(site.healedMs))}</tr>`
}

function renderPairs(pairs: readonly PairReport[]): Markup {
  return markup`<section aria-labelledby="pairs">
<h2 id="pairs">Pairs</h2>
<p class="intro">A client and the upstream that is asked for it, of which one has gone or is stuck.</p>
<ul class="pairs">${pairs.slice(0, MOST_PAIRS).map(({ line }) => markup`<li>${line}</li>`)}</ul>
${renderRest(pairs.length - MOST_PAIRS, 'pair')}
</section>`
}

function renderCode(code: readonly CodeReport[]): Markup {
  return markup`<section aria-labelledby="code">
<h2 id="code">Code that holds them</h2>
${code.map(describeCode).map(([head, ...places]) => markup`<p class="intro">${head ?? ''}</p><ol class="stack">${places.map((place) => markup`<li>${place}</li>`)}</ol>`)}
</section>`
}

function renderCensus({ clients, sites }: CensusReport): Markup | false {
  const lines = [...clients, ...sites].map(({ line }) => line)
  if (lines.length === 0) return false
  return markup`<section aria-labelledby="census">
<h2 id="census">Open both ways</h2>
<p class="intro">No leaks, but perhaps forgotten: who waits, and what grows.</p>
<ul class="pairs">${lines.slice(0, MOST_CENSUS_LINES).map((line) => markup`<li>${line}</li>`)}</ul>
${renderRest(lines.length - MOST_CENSUS_LINES, 'line')}
</section>`
}

function renderPorts(ports: readonly PortsReport[]): Markup {
  return markup`<section aria-labelledby="ports">
<h2 id="ports">Ports held by half-closed sockets</h2>
<p class="intro">A peer that comes back from one of these ports does not get through at once, and times out where a firewall drops the reset.</p>
<table class="ports" role="table">
${columns('Peer', '#Our port', '#Ports held')}
<tbody role="rowgroup">${ports.slice(0, MOST_PEERS).map(renderPeer)}</tbody>
</table>
${renderRest(ports.length - MOST_PEERS, 'peer')}
</section>`
}

function renderPeer({ remote, localPort, heldPorts }: PortsReport): Markup {
  return markup`
<tr role="row"><th role="rowheader" scope="row" class="text">${remote}</th>
${number('Our port', localPort)}
${number('Ports held', heldPorts)}</tr>`
}

interface Showing {
  readonly isOpen: boolean
  readonly live: LivePage | undefined
  readonly code: readonly CodeReport[]
}

function renderSocket(socket: SocketReport, showing: Showing): Markup {
  const verdict = socket.verdict === 'none' ? 'healthy' : socket.verdict
  const { direction, kind, phase, kernelState } = socket
  const state = [`${direction} ${kind}`, phase, kernelState].filter((word) => word !== null)
  const waiting = formatWaiting(socket)
  return markup`
<tr role="row" id="socket-${socket.id}"><td role="cell" class="verdict"><span class="badge ${verdict}">${verdict}</span> <span class="age">for ${formatDuration(socket.sinceMs)}</span></td>
<td role="cell" class="what"><p>${socket.diagnosis}</p>
${renderDetails(socket, showing)}</td>
<td role="cell" class="connection"><span class="text">${nameEndpoint(socket.local)}</span> <span class="text">${socket.direction === 'inbound' ? '←' : '→'} ${nameEndpoint(socket.remote)}</span>
<span class="quiet">${state.join(', ')}</span> ${waiting !== '' && markup`<span class="quiet">${waiting}</span>`}</td>
${number('Idle', formatDuration(socket.idleMs))}</tr>`
}

function renderDetails(socket: SocketReport, { isOpen, live, code }: Showing): Markup {
  const { id, owner, condition } = socket
  const context = formatContext(owner, ', ')
  const accesses = describeAccesses(owner)
  const streams = formatStreams(socket)
  return markup`<details${isOpen && new Markup(' open')}><summary><span class="text">${owner.site}</span> ${condition !== null && markup`<span class="chip" title="${DESCRIPTIONS[condition]}">${condition}</span>`}</summary>
<ol class="timeline">${timelineOf(socket).map(({ agoMs, text }) => markup`<li><span class="quiet">${formatDuration(agoMs)} ago</span> ${text}</li>`)}</ol>
<dl>${fact('Socket', live === undefined ? `#${id}` : markup`<a href="${linkTo({ id })}">#${id}</a>`)}
${condition !== null && fact('Condition', `${condition}: ${DESCRIPTIONS[condition]}`)}
${fact('Evidence', describeEvidence(socket).join(', '))}
${socket.partner !== null && fact('Pair', formatPartner(socket))}
${streams !== '' && fact('Streams', streams)}
${owner.request !== null && fact('Request', formatRequest(owner.request))}
${owner.label !== null && fact('Label', owner.label)}
${context !== '' && fact('Context', context)}
${owner.stack !== null && renderStack('Stack', owner.stack)}
${accesses.length > 0 && renderStack('Accesses', accesses)}</dl>
${live?.canAct === true && renderDeeds(socket, code)}</details>`
}

function renderStack(name: string, frames: readonly string[]): Markup {
  return markup`<dt>${name}</dt><dd><ol class="stack">${frames.map((frame) => markup`<li>${frame.trim()}</li>`)}</ol></dd>`
}

function number(name: string, value: number | string): Markup {
  return markup`<td role="cell" class="number" data-name="${name}">${value}</td>`
}

function fact(name: string, value: string | Markup): Markup {
  return markup`<dt>${name}</dt><dd>${value}</dd>`
}

const PAGE_ICON =
  'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E' +
  '%3Ccircle cx=%228%22 cy=%228%22 r=%225.5%22 fill=%22none%22 stroke=%22%23357a6b%22 stroke-width=%223%22 ' +
  'stroke-dasharray=%2228 7%22 stroke-linecap=%22round%22/%3E%3C/svg%3E'
