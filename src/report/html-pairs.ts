import type { PairReport } from '../core/report.js'
import { MOST_PAIRS } from './most-pairs.js'
import { type Markup, markup } from './markup.js'

/** Two connections that are one conversation, a line each. */
export function renderPairs(pairs: readonly PairReport[]): Markup {
  const rest = pairs.length - MOST_PAIRS
  return markup`<section aria-labelledby="pairs">
<h2 id="pairs">Pairs</h2>
<p class="intro">A client and the upstream that is asked for it, of which one has gone or is stuck.</p>
<ul class="pairs">${pairs.slice(0, MOST_PAIRS).map(({ line }) => markup`<li>${line}</li>`)}</ul>
${rest > 0 && markup`<p class="intro">And ${rest} more ${rest === 1 ? 'pair' : 'pairs'}.</p>`}
</section>`
}
