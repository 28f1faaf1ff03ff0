import { formatDuration } from '../core/format.js'
import type { CodeReport, SiteReport, SnapshotQuery, SocketReport } from '../core/report.js'
import { CONDITIONS, DIRECTIONS } from '../core/vocabulary.js'
import { STANDING } from './build.js'
import { markup, Markup } from './markup.js'
import { describeCode } from './phrases.js'

export interface LivePage {
  readonly canAct: boolean
}

export function linkTo(query: SnapshotQuery, format = 'html'): string {
  const { all, history: _, unsettled: __, ...rest } = query
  const given = Object.entries(rest).filter(([, value]) => value !== undefined)
  const asked = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]))
  if (all) asked.set('all', '1')
  return `?format=${format}${asked.size === 0 ? '' : `&${asked}`}`
}

const AGES_MS = [60_000, 600_000, 3_600_000, 21_600_000]

export function renderFilters(query: SnapshotQuery, sites: readonly SiteReport[]): Markup {
  const { site, peer, condition, verdict, direction, minAgeMs, all, limit } = query
  const ages = AGES_MS.map((ms) => [String(ms), `over ${formatDuration(ms)}`] as const)
  return markup`<form id="filters" class="filters" method="get" role="search" aria-label="Filter the sockets">
<input type="hidden" name="format" value="html">
${limit !== undefined && markup`<input type="hidden" name="limit" value="${limit}">`}
<label>Site <input name="site" list="known-sites" value="${site ?? ''}" placeholder="any" autocomplete="off"></label>
<datalist id="known-sites">${sites.slice(0, 100).map((one) => markup`<option value="${one.site}">`)}</datalist>
<label>Peer contains <input name="peer" value="${peer ?? ''}" placeholder="any" autocomplete="off" size="14"></label>
${choice('Condition', 'condition', CONDITIONS.map(same), condition)}
${choice('Verdict', 'verdict', STANDING.map(same), verdict)}
${choice('Direction', 'direction', DIRECTIONS.map(same), direction)}
${choice('Age', 'minAgeMs', ages, minAgeMs?.toString())}
<label class="tick"><input type="checkbox" name="all" value="1"${all === true && new Markup(' checked')}> Healthy too</label>
<button>Filter</button> <a href="${linkTo({})}">Clear</a>
</form>`
}

function same(word: string): readonly [string, string] {
  return [word, word]
}

function choice(
  label: string,
  name: string,
  options: readonly (readonly [value: string, text: string])[],
  chosen: string | undefined,
): Markup {
  const isOther = chosen !== undefined && options.every(([value]) => value !== chosen)
  const all = isOther ? [...options, [chosen, chosen] as const] : options
  return markup`<label>${label} <select name="${name}"><option value="">any</option>${all.map(([value, text]) => markup`<option value="${value}"${value === chosen && new Markup(' selected')}>${text}</option>`)}</select></label>`
}

const CONSEQUENCES = [
  ['End', 'end', 'Ends this side in good order; what does not close by itself is destroyed, then reset.'],
  ['Destroy', 'destroy', 'Closes it at once. What is not sent yet is lost.'],
  ['Reset', 'reset', 'Closes it at once with a reset, where it can have one. What is not sent yet is lost.'],
] as const

export function renderDeeds(socket: SocketReport, code: readonly CodeReport[]): Markup {
  const { id, verdict, evidence } = socket
  const isExempt = verdict === 'exempt'
  const sight = evidence.ifClosed === null ? '' : `If closed: ${evidence.ifClosed}`
  const known = code.find((one) => one.id === id)
  return markup`<div class="deeds" id="deeds-${id}" data-socket="${id}" data-sight="${sight}">
<button type="button" data-deed="locate?id=${id}" title="Holds the process up for about 0.1 s">Show code</button>
${CONSEQUENCES.map(([name, action, words]) => markup`<button type="button" data-deed="reclaim?id=${id}&amp;action=${action}" data-confirm="${words}">${name}</button> `)}
<button type="button" data-deed="exempt?id=${id}${isExempt && '&exempt=0'}" data-confirm="${isExempt ? 'The guard judges it again.' : 'Says that this half-close is meant: the guard leaves it alone.'}">${isExempt ? 'No longer exempt' : 'Exempt'}</button>
<output id="outcome-${id}" data-own></output>
${known !== undefined && renderKnownCode(known)}
</div>`
}

function renderKnownCode(known: CodeReport): Markup {
  const [head = '', ...places] = describeCode(known)
  return markup`<p>${head}</p><ol class="stack">${places.map((place) => markup`<li>${place}</li>`)}</ol>`
}

export const CONFIRM = markup`<dialog id="confirm" aria-labelledby="confirm-title" data-own>
<h2 id="confirm-title"></h2>
<p id="confirm-text"></p>
<p id="confirm-sight" class="quiet"></p>
<p class="choices"><button type="button" id="confirm-no">Cancel</button> <button type="button" id="confirm-yes" class="strong"></button></p>
</dialog>`

export const SIGN_IN = markup`<main class="sign-in">
<h1>This report needs its token</h1>
<form id="sign-in" method="get">
<input type="text" autocomplete="username" value="socket-leak-guard" hidden>
<label for="token">Token</label>
<input id="token" type="password" autocomplete="current-password" required>
<button>Open</button>
<p id="wrong" role="alert" hidden>That is not the token.</p>
</form>
<p class="quiet">It stays in this page, in memory. Without a script: send the header <b>authorization: Bearer &lt;token&gt;</b>.</p>
</main>`
