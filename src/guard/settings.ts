/**
 * What holds for a socket: what it was given itself, else what the server above it was given (a WebSocketServer), else the
 * server that accepted it, else the process. The order of the calls does not matter, and each has a way back.
 */
import { serverOf } from '../socket/fields.js'
import type { GivenSettings, SocketRecord } from '../socket/record.js'
import { isOptionBag } from '../options/rules.js'
import { resolvePolicy, type PolicyOptions } from '../options/options.js'
import type { SocketPolicy } from '../judge/policy.js'

export interface Settings {
  /**
   * Makes what holds for this socket hold. To be called when it is new and whenever its servers have changed.
   *
   * @param server the one that accepted it, where the socket does not say so yet
   */
  apply(record: SocketRecord, server?: object | null): void
  /** Is it a socket of this server, be it the one that accepted it or the one above? */
  isOf(record: SocketRecord, server: object): boolean
  /** Other settings for one socket, on top of those that it was given before; `null` takes them all back. */
  configure(record: SocketRecord, policy: PolicyOptions | null): void
  /** `null`: as its server is called. */
  label(record: SocketRecord, label: string | null): void
  /** From now on, for the open sockets too. @returns what takes the settings back */
  configureServer(server: object, given: GivenSettings): () => void
}

/** Sockets of one server share one policy: it is resolved again only where what lies below has changed. */
interface ServerEntry {
  readonly given: GivenSettings
  below: SocketPolicy | null
  resolved: SocketPolicy | null
}

const NOTHING: GivenSettings = { policy: null, label: null }

/** @param onPolicy a policy that may need closer looks than before is in force */
export function keepSettings(
  ledger: Iterable<SocketRecord>,
  defaults: () => SocketPolicy,
  onPolicy: (policy: SocketPolicy) => void,
): Settings {
  const servers = new WeakMap<object, ServerEntry>()
  /** Until a server has settings of its own, a new socket pays a few comparisons. */
  let isAnySet = false

  function policyOf(entry: ServerEntry | undefined, below: SocketPolicy): SocketPolicy {
    if (entry === undefined || entry.given.policy === null) return below
    if (entry.below !== below || entry.resolved === null) {
      entry.below = below
      entry.resolved = resolvePolicy(entry.given.policy, below)
    }
    return entry.resolved
  }

  function apply(record: SocketRecord, server: object | null = serverOf(record.socket)): void {
    const { hint, settings } = record
    const own = defaults()
    if (!isAnySet && settings === null && record.policy === own) return
    const accepting = server === null ? undefined : servers.get(server)
    const above = hint?.server ? servers.get(hint.server) : undefined
    let policy = policyOf(above, policyOf(accepting, own))
    if (settings?.policy) policy = resolvePolicy(settings.policy, policy)
    record.label = settings?.label ?? above?.given.label ?? accepting?.given.label ?? null
    if (policy === record.policy) return
    record.policy = policy
    onPolicy(policy)
  }

  function isOf({ socket, hint }: SocketRecord, server: object): boolean {
    return serverOf(socket) === server || hint?.server === server
  }

  return {
    apply,
    isOf,
    configure(record, policy) {
      // First as it stands: what is refused changes nothing.
      if (policy !== null) resolvePolicy(policy, record.policy)
      const own = record.settings ?? NOTHING
      record.settings = { ...own, policy: policy === null ? null : merged(own.policy, policy) }
      apply(record)
    },
    label(record, label) {
      record.settings = { ...(record.settings ?? NOTHING), label }
      apply(record)
    },
    configureServer(server, given) {
      if (given.policy !== null) resolvePolicy(given.policy, defaults())
      const entry: ServerEntry = { given, below: null, resolved: null }
      servers.set(server, entry)
      isAnySet = true
      for (const record of ledger) if (isOf(record, server)) apply(record)
      return function releaseServer() {
        if (servers.get(server) !== entry) return
        servers.delete(server)
        for (const record of ledger) {
          if (!isOf(record, server)) continue
          if (record.hint?.server === server) record.hint.server = null
          apply(record)
        }
      }
    },
  }
}

/** What is left out of the later one is as in the earlier one, also inside of `keepAlive`. */
function merged(earlier: PolicyOptions | null, later: PolicyOptions): PolicyOptions {
  const all: Record<string, unknown> = { ...earlier }
  for (const [name, value] of Object.entries(later)) {
    if (value === undefined) continue
    all[name] = isOptionBag(value) && isOptionBag(all[name]) ? { ...all[name], ...value } : value
  }
  return all
}
