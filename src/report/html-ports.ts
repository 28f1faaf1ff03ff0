import type { PortsReport } from '../core/report.js'
import { MOST_PEERS, formatChance } from './describe-ports.js'
import { type Markup, markup } from './markup.js'

/** Peers that may fail to connect again because of what is half-closed here, worst first. */
export function renderPorts(ports: readonly PortsReport[]): Markup {
  const rest = ports.length - MOST_PEERS
  return markup`<section aria-labelledby="ports">
<h2 id="ports">Ports held by half-closed sockets</h2>
<p class="intro">A peer that comes back from one of these ports does not get through at once, and times out where a firewall drops the reset.</p>
<table class="ports" role="table">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Peer</th><th role="columnheader" scope="col" class="number">Our port</th><th role="columnheader" scope="col" class="number">Ports held</th><th role="columnheader" scope="col" class="number">Chance that the next meets one</th></tr></thead>
<tbody role="rowgroup">${ports.slice(0, MOST_PEERS).map(renderPeer)}</tbody>
</table>
${rest > 0 && markup`<p class="intro">And ${rest} more ${rest === 1 ? 'peer' : 'peers'}.</p>`}
</section>`
}

function renderPeer({ remote, localPort, heldPorts, collisionChance }: PortsReport): Markup {
  return markup`
<tr role="row"><th role="rowheader" scope="row" class="text">${remote}</th>
<td role="cell" class="number" data-name="Our port">${localPort}</td>
<td role="cell" class="number" data-name="Ports held">${heldPorts}</td>
<td role="cell" class="number" data-name="Chance">${formatChance(collisionChance)}</td></tr>`
}
