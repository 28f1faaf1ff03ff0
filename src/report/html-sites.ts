import { formatDuration } from '../core/format.js'
import type { HealedSite, SiteReport } from '../core/report.js'
import { CONDITIONS } from '../core/vocabulary.js'
import { describeCondition } from './describe-condition.js'
import { describeTrend, isRecovered } from './describe-site.js'
import { type Markup, markup } from './markup.js'

/** Where suspect and leaked sockets come from, worst first. */
export function renderSites(sites: readonly SiteReport[]): Markup {
  const worst = Math.max(...sites.map((site) => site.count))
  return markup`<section aria-labelledby="sites">
<h2 id="sites">Where they come from</h2>
<table class="sites" role="table">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Site</th><th role="columnheader" scope="col" class="number">Sockets</th><th role="columnheader" scope="col" class="number">Oldest</th><th role="columnheader" scope="col">Conditions</th></tr></thead>
<tbody role="rowgroup">${sites.map((site) => renderSite(site, worst))}</tbody>
</table>
</section>`
}

function renderSite(site: SiteReport, worst: number): Markup {
  const present = CONDITIONS.filter((condition) => site.conditions[condition])
  const share = Math.round((100 * site.count) / Math.max(1, worst))
  const trend = describeTrend(site).join(' · ')
  return markup`
<tr role="row"><th role="rowheader" scope="row"><span class="text">${site.site}</span><svg class="share" aria-hidden="true"><rect width="${share}%" height="100%"/></svg>${trend !== '' && markup`<span class="trend">${trend}</span>`}</th>
<td role="cell" class="number" data-name="Sockets">${site.count}</td>
<td role="cell" class="number" data-name="Oldest">${formatDuration(site.oldestMs)}</td>
<td role="cell" data-name="Conditions">${present.map((condition) => markup`<span class="chip" title="${describeCondition(condition)}">${condition} <b>${site.conditions[condition] ?? 0}</b></span> `)}</td></tr>`
}

/** Sites that leaked and, for now, leak no more. */
export function renderHealed(sites: readonly HealedSite[]): Markup {
  return markup`<section aria-labelledby="healed">
<h2 id="healed">No longer leaking</h2>
<p class="intro">Within the last hour. A site whose sockets the guard closed may well leak again.</p>
<table class="healed" role="table">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Site</th><th role="columnheader" scope="col">State</th><th role="columnheader" scope="col" class="number">Leaked since start</th><th role="columnheader" scope="col" class="number">Closed by the guard</th><th role="columnheader" scope="col" class="number">Leak-free for</th></tr></thead>
<tbody role="rowgroup">${sites.map(renderHealedSite)}</tbody>
</table>
</section>`
}

function renderHealedSite(site: HealedSite): Markup {
  const state = isRecovered(site) ? 'recovered' : 'reclaimed'
  return markup`
<tr role="row"><th role="rowheader" scope="row" class="text">${site.site}</th>
<td role="cell"><span class="badge ${state}">${state}</span></td>
<td role="cell" class="number" data-name="Leaked">${site.leakedTotal}</td>
<td role="cell" class="number" data-name="Closed by the guard">${site.reclaimed}</td>
<td role="cell" class="number" data-name="Leak-free for">${formatDuration(site.healedMs)}</td></tr>`
}
