import type { Condition, Direction, Verdict } from './vocabulary.js'

export interface SnapshotQuery {
  /** List healthy sockets too. @default false */
  readonly all?: boolean
  /** List sockets that are odd but too young for a verdict, as in each normal close. @default false */
  readonly unsettled?: boolean
  /** Most sockets and pairs to list, 0 to 10000; counts cover all. @default 200 */
  readonly limit?: number
  /** List only the socket with this descriptor, healthy or not. */
  readonly fd?: number
  /** List only the socket with this id, healthy or not. */
  readonly id?: number
  readonly site?: string
  /** List only sockets whose remote endpoint, as in `10.0.0.7:50122`, contains this. */
  readonly peer?: string
  readonly condition?: Condition
  readonly verdict?: Verdict
  readonly direction?: Direction
  /** List only sockets whose condition has lasted so long (a healthy one: that are known so long). */
  readonly minAgeMs?: number
  /** Add the field `history`. The first to ask begins it, if no endpoint has. @default false */
  readonly history?: boolean
  /** Page on: list sockets after this id. If it is no longer listed, the page is empty. @default 0 */
  readonly after?: number
}
