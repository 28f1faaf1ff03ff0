/** Columns of one length, oldest first, the moment of the report last. */
export interface HistoryReport {
  /** Unix time in seconds, about 20 s apart. */
  readonly at: readonly number[]
  readonly tracked: readonly number[]
  readonly suspect: readonly number[]
  readonly leaked: readonly number[]
  /** Closed by the guard since it was installed: `reclaimed` and `dead` together. */
  readonly reclaimed: readonly number[]
  readonly openDescriptors: readonly (number | null)[]
  readonly descriptorLimit: readonly (number | null)[]
  readonly sites: readonly SiteHistoryReport[]
}

export interface SiteHistoryReport {
  readonly site: string
  /** Leaked minus healed and reclaimed in each five minutes of the last hour, oldest first. */
  readonly net: readonly number[]
}
