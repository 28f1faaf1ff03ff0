import { formatDuration } from '../core/format.js'
import type { Report, SocketReport } from '../core/report.js'
import { describeCondition } from './describe-condition.js'
import {
  describeAccesses,
  describeEvidence,
  formatPartner,
  formatRequest,
  nameEndpoint,
  formatWaiting,
} from './describe-socket.js'
import { type Markup, markup } from './markup.js'

/** The sockets of the report as a table, the diagnosis foremost; what else is known unfolds below it. */
export function renderSockets(report: Report, showsHealthy: boolean): Markup {
  if (report.sockets.length === 0) return renderNothing(report)
  return markup`<section aria-labelledby="sockets">
<h2 id="sockets">${showsHealthy ? 'Sockets' : 'Sockets to look at'}</h2>
<table class="sockets" role="table">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Verdict</th><th role="columnheader" scope="col">What happened</th><th role="columnheader" scope="col">Connection</th><th role="columnheader" scope="col" class="number">Idle</th></tr></thead>
<tbody role="rowgroup">${report.sockets.map(renderSocket)}</tbody>
</table>
</section>`
}

function renderNothing(report: Report): Markup {
  const isHealthy = report.totals.leaked + report.totals.suspect === 0
  return markup`<p class="nothing">${isHealthy ? 'There is no socket to look at.' : 'No sockets on this page.'}</p>`
}

function renderSocket(socket: SocketReport): Markup {
  const verdict = socket.verdict === 'none' ? 'healthy' : socket.verdict
  const state = [`${socket.direction} ${socket.kind}`, socket.phase, socket.kernelState].filter(
    (word) => word !== null,
  )
  const waiting = formatWaiting(socket)
  return markup`
<tr role="row"><td role="cell" class="verdict"><span class="badge ${verdict}">${verdict}</span> <span class="age">for ${formatDuration(socket.sinceMs)}</span></td>
<td role="cell" class="what"><p>${socket.diagnosis}</p>
${renderDetails(socket)}</td>
<td role="cell" class="connection"><span class="text">${nameEndpoint(socket.local)}</span> <span class="text">${socket.direction === 'inbound' ? '←' : '→'} ${nameEndpoint(socket.remote)}</span>
<span class="quiet">${state.join(', ')}</span> ${waiting !== '' && markup`<span class="quiet">${waiting}</span>`}</td>
<td role="cell" class="number" data-name="Idle">${formatDuration(socket.idleMs)}</td></tr>`
}

function renderDetails(socket: SocketReport): Markup {
  const { owner, condition } = socket
  const context = Object.entries(owner.context).map(([key, value]) => `${key}=${value}`)
  const accesses = describeAccesses(owner)
  const chip =
    condition !== null &&
    markup`<span class="chip" title="${describeCondition(condition)}">${condition}</span>`
  return markup`<details><summary><span class="text">${owner.site}</span> ${chip}</summary>
<dl>${fact('Socket', `#${socket.id}, seen by ${socket.seenBy}`)}
${condition !== null && fact('Condition', `${condition}: ${describeCondition(condition)}`)}
${fact('Evidence', describeEvidence(socket).join(', '))}
${socket.partner !== null && fact('Pair', formatPartner(socket))}
${owner.request !== null && fact('Request', formatRequest(owner.request))}
${owner.label !== null && fact('Label', owner.label)}
${context.length > 0 && fact('Context', context.join(', '))}
${owner.stack !== null && renderStack('Stack', owner.stack)}
${accesses.length > 0 && renderStack('Accesses', accesses)}</dl></details>`
}

function renderStack(name: string, frames: readonly string[]): Markup {
  return markup`<dt>${name}</dt><dd><ol class="stack">${frames.map((frame) => markup`<li>${frame.trim()}</li>`)}</ol></dd>`
}

function fact(name: string, value: string): Markup {
  return markup`<dt>${name}</dt><dd>${value}</dd>`
}
