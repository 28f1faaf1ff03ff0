/** The last hour: charts that the page's script draws, their data, and the same as a table. */
import type { HistoryReport } from '../core/report.js'
import { markup, Markup } from './markup.js'

const ROWS = 12

export function renderHistory(history: HistoryReport): Markup {
  const last = history.at.length - 1
  const open = history.openDescriptors[last]
  const limit = history.descriptorLimit[last]
  const descriptors =
    open == null
      ? 'Descriptors can not be counted here.'
      : `${open}${limit == null ? '' : ` of ${limit}`} descriptors are open.`
  const leaks = `${rangeOf('Leaked', history.leaked)} ${rangeOf('Suspect', history.suspect)}`
  const closed = history.reclaimed[last]! - history.reclaimed[0]!
  return markup`<section aria-labelledby="history">
<h2 id="history">The last hour</h2>
<div class="charts">
${chart('chart-leaks', `${leaks} Closed by the guard: ${closed}.`)}
${chart('chart-open', `${rangeOf('Open sockets', history.tracked)} ${descriptors}`)}
</div>
<details id="history-table"><summary>As a table</summary>
<table><thead><tr>${['Time (UTC)', 'Open', 'Suspect', 'Leaked', 'Reclaimed', 'Descriptors', 'Limit'].map((name) => markup`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${pick(last).map((i) => rowOf(history, i))}</tbody></table></details>
<script type="application/json" id="history-data">${embed(history)}</script>
</section>`
}

function chart(id: string, words: string): Markup {
  return markup`<figure><div id="${id}" class="chart" role="img" aria-label="${words}" data-own></div><figcaption>${words}</figcaption></figure>`
}

function rangeOf(name: string, values: readonly number[]): string {
  const least = Math.min(...values)
  const most = Math.max(...values)
  const range = least === most ? '' : `, ${least} to ${most} in the last hour`
  return `${name}: ${values.at(-1)} now${range}.`
}

function pick(last: number): number[] {
  const step = Math.max(1, Math.ceil(last / ROWS))
  const picked: number[] = []
  for (let i = last; i >= 0; i -= step) picked.push(i)
  return picked.reverse()
}

function rowOf(history: HistoryReport, i: number): Markup {
  const { at, tracked, suspect, leaked, reclaimed, openDescriptors, descriptorLimit } = history
  const time = new Date(at[i]! * 1000).toISOString().slice(11, 16)
  const counts = [tracked, suspect, leaked, reclaimed, openDescriptors, descriptorLimit]
  return markup`<tr><th scope="row">${time}</th>${counts.map((column) => markup`<td class="number">${column[i] ?? '–'}</td>`)}</tr>`
}

/** A script of this type is not run; nothing in it may end it. */
function embed(history: HistoryReport): Markup {
  const { sites: _, ...columns } = history
  return new Markup(JSON.stringify(columns).replaceAll('<', '\\u003c'))
}

const WIDTH = 120
const HEIGHT = 24

export function renderTrendLine(net: readonly number[]): Markup | false {
  if (net.every((change) => change === 0)) return false
  let level = 0
  const levels = [0, ...net.map((change) => (level += change))]
  const low = Math.min(...levels)
  const high = Math.max(...levels)
  const points = levels.map((value, i) => {
    const x = (i * WIDTH) / net.length
    const y = HEIGHT - 2 - ((value - low) * (HEIGHT - 4)) / (high - low)
    return `${x.toFixed(0)},${y.toFixed(1)}`
  })
  return markup`<svg class="trend-line" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true"><polyline points="${points.join(' ')}"/></svg>`
}
