/** Of the peers whose ports are held, a report for people names so many. */
export const MOST_PEERS = 10

/** A probability as a percentage that never reads 0 when it is not: `0.04 %`, `12 %`. */
export function formatChance(chance: number): string {
  const percent = chance * 100
  if (percent > 0 && percent < 0.01) return '< 0.01 %'
  return `${percent < 1 ? Number(percent.toFixed(2)) : Math.round(percent)} %`
}
