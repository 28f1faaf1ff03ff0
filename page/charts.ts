import uPlot from 'uplot'

/** As in `report.schema.json`. */
interface History {
  readonly at: number[]
  readonly tracked: number[]
  readonly suspect: number[]
  readonly leaked: number[]
  readonly reclaimed: number[]
  readonly openDescriptors: (number | null)[]
  readonly descriptorLimit: (number | null)[]
}

interface Line {
  readonly label: string
  /** The name of a colour in the style sheet. */
  readonly color: string
  readonly dash?: number[]
}

interface Chart {
  readonly place: string
  readonly lines: readonly Line[]
  columns(history: History): (number | null)[][]
}

const CHARTS: readonly Chart[] = [
  {
    place: 'chart-leaks',
    lines: [
      { label: 'leaked', color: '--leaked' },
      { label: 'suspect', color: '--suspect', dash: [6, 3] },
      { label: 'reclaimed', color: '--healthy', dash: [2, 3] },
    ],
    columns: ({ leaked, suspect, reclaimed }) => [
      leaked,
      suspect,
      reclaimed.map((count) => count - reclaimed[0]!),
    ],
  },
  {
    place: 'chart-open',
    lines: [
      { label: 'descriptors', color: '--exempt' },
      { label: 'sockets', color: '--link', dash: [6, 3] },
      { label: 'limit', color: '--leaked', dash: [2, 3] },
    ],
    columns: ({ openDescriptors, tracked, descriptorLimit }) => [
      openDescriptors,
      tracked,
      // A limit that is far away would press the other lines to the ground.
      descriptorLimit.map((limit, i) =>
        limit !== null && limit < 4 * (openDescriptors[i] ?? 0) ? limit : null,
      ),
    ],
  },
]

const HEIGHT = 180
const SHORT_S = 900
const drawn = new Map<string, uPlot>()

/** Draws what the page carries, into the charts that are there already, if any. */
export function drawCharts(): void {
  const source = document.getElementById('history-data')?.textContent
  if (source === undefined || source === null) return
  const history = JSON.parse(source) as History
  for (const chart of CHARTS) {
    const place = document.getElementById(chart.place)
    if (place === null) continue
    const columns = chart.columns(history)
    const isKnown = (_: unknown, i: number) => columns[i]!.some((value) => value !== null)
    const lines = chart.lines.filter(isKnown)
    const data = [history.at, ...columns.filter(isKnown)] as uPlot.AlignedData
    const known = drawn.get(chart.place)
    if (known !== undefined && place.contains(known.root) && known.series.length === data.length) {
      known.setData(data)
      continue
    }
    known?.destroy()
    drawn.set(chart.place, draw(place, lines, data))
  }
}

/** Colours are taken from the style sheet when a chart is made. */
export function redrawCharts(): void {
  for (const chart of drawn.values()) chart.destroy()
  drawn.clear()
  drawCharts()
}

function draw(place: HTMLElement, lines: readonly Line[], data: uPlot.AlignedData): uPlot {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string) => style.getPropertyValue(name).trim()
  const axis: uPlot.Axis = {
    stroke: color('--quiet'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  }
  const valueOf = (_: uPlot, count: number | null) => (count === null ? '' : String(count))
  const made = new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { y: { range: (_, __, most) => [0, Math.max(4, (most ?? 0) * 1.1)] } },
      axes: [
        { ...axis, values: formatTimes, space: 70, size: 30 },
        {
          ...axis,
          values: (_, counts) => counts.map((n) => (Number.isInteger(n) ? String(n) : '')),
          size: 46,
        },
      ],
      series: [
        {
          label: 'UTC',
          value: (_, seconds: number | null) => (seconds === null ? '' : formatTime(seconds, true)),
        },
        ...lines.map(({ label, color: name, dash }) => ({
          label,
          stroke: color(name),
          width: 2,
          points: { show: false },
          value: valueOf,
          ...(dash !== undefined && { dash }),
        })),
      ],
    },
    data,
    place,
  )
  new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place)
  return made
}

function formatTimes(chart: uPlot, seconds: readonly number[]): string[] {
  const { min = 0, max = 0 } = chart.scales.x!
  return seconds.map((at) => formatTime(at, (max ?? 0) - (min ?? 0) < SHORT_S))
}

/** UTC, as everywhere on the page. */
function formatTime(seconds: number, isPrecise: boolean): string {
  return new Date(seconds * 1000).toISOString().slice(11, isPrecise ? 19 : 16)
}
