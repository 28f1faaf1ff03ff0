import type { SocketReport } from '../../src/core/report.js'
import type { SnapshotParts } from '../../src/report/build.js'
import { rowOf } from '../core/sample-socket.js'
import { KEPT, NO_CENSUS, NO_MEASURES } from './sample-reports.js'

/** Of a guard that knows these sockets. */
export function partsOf(sockets: readonly SocketReport[]): SnapshotParts {
  return {
    generatedAt: '2026-02-03T14:05:06.789Z',
    process: { pid: 1, node: 'v20.20.2', platform: 'linux', uptimeSeconds: 12 },
    kernel: { probe: 'none', reason: 'off' },
    closing: [],
    gathered: {
      ...KEPT,
      lastHourOf: () => [],
      trendOf: () => ({ leakedTotal: 0, growthPerHour: 0 }),
      healedSites: [],
    },
    census: NO_CENSUS,
    code: [],
    measures: NO_MEASURES,
    lint: null,
    history: null,
    tracked: 99,
    partedPairs: 0,
    pairs: () => [],
    counts: { suspect: 10, leaked: 5, stalled: 1, recovered: 2, reclaimed: 3, dead: 4 },
    rows: Object.freeze(sockets.map(rowOf)),
  }
}
