/** The results as Markdown. */
import type { Outcome } from './play.js'
import { REMEDIES } from './remedies.js'
import { SCENES, type Scene } from './scenes.js'

export interface Result {
  readonly scene: Scene
  readonly remedy: string
  readonly outcome: Outcome
}

export function summary(results: readonly Result[]): string {
  const rows = Object.entries(REMEDIES).flatMap(([name, { title }]) => {
    const own = results.filter(({ remedy }) => remedy === name)
    if (own.length === 0) return []
    const leaks = own.filter(({ scene }) => scene.condition !== null)
    const legal = own.filter(({ scene }) => scene.condition === null)
    const times = leaks.map(({ outcome }) => outcome.freedMs).filter((ms) => ms !== null)
    const of = (some: readonly Result[], is: (outcome: Outcome) => boolean): string =>
      `${some.filter(({ outcome }) => is(outcome)).length} of ${some.length}`
    return [
      [
        title,
        of(leaks, ({ seen }) => seen.isSeen),
        of(leaks, ({ seen }) => seen.isNamed),
        of(leaks, ({ freedMs }) => freedMs !== null),
        seconds(median(times)),
        of(legal, ({ wasKilled }) => wasKilled),
        String(own.filter(({ outcome }) => outcome.hasDied).length),
      ],
    ]
  })
  const head = ['', 'seen', 'code named', 'freed', 'time to free', 'legal ones killed', 'process died']
  return table(head, rows)
}

export function matrix(results: readonly Result[]): string {
  const remedies = Object.keys(REMEDIES).filter((name) => results.some(({ remedy }) => remedy === name))
  const rows = SCENES.filter((scene) => results.some((result) => result.scene === scene)).map((scene) => [
    scene.name,
    scene.condition === null ? '' : `\`${scene.condition}\``,
    ...remedies.map((name) =>
      wordFor(results.find(({ scene: one, remedy }) => one === scene && remedy === name)),
    ),
  ])
  return table(['', 'condition', ...remedies], rows)
}

function wordFor(result: Result | undefined): string {
  if (result === undefined) return ''
  const { scene, outcome } = result
  if (outcome.hasDied) return 'died'
  if (scene.condition === null) return outcome.wasKilled ? '**killed**' : 'served'
  return outcome.freedMs === null ? 'held' : seconds(outcome.freedMs)
}

export function seconds(ms: number | null): string {
  return ms === null ? '–' : `${(ms / 1000).toFixed(1)} s`
}

export function median(values: readonly number[]): number | null {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map(() => '---')
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}
