/** `2026-01-31T12:00:00.000Z` as a reader likes it: `2026-01-31 12:00:00 UTC`. Anything else is left as it is. */
export function formatInstant(iso: string): string {
  return iso.replace(/^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z$/, '$1 $2 UTC')
}
