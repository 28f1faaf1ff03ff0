// A socket's own settings, else those of the server above it (a WebSocketServer), else of the one that accepted it.
import { serverOf } from '../socket/fields.js'
import type { GivenSettings, SocketRecord } from '../socket/record.js'
import { isOptionBag } from '../options/rules.js'
import { resolvePolicy, type PolicyOptions } from '../options/options.js'
import type { SocketPolicy } from '../judge/policy.js'

export interface Settings {
  // Call for a new socket and when its servers have changed. `server` accepted it, if the socket does not say so yet.
  apply(record: SocketRecord, server?: object | null): void
  isOf(record: SocketRecord, server: object): boolean
  labelOf(record: SocketRecord): string | null
  configure(record: SocketRecord, policy: PolicyOptions | null): void
  label(record: SocketRecord, label: string | null): void
  /** Applies to open sockets too. @returns a function that takes the settings back */
  configureServer(server: object, given: GivenSettings): () => void
}

interface ServerEntry {
  readonly given: GivenSettings
  below: SocketPolicy | null
  resolved: SocketPolicy | null
}

const NOTHING: GivenSettings = { policy: null, label: null }

export function keepSettings(
  ledger: Iterable<SocketRecord>,
  defaults: () => SocketPolicy,
  onPolicy: (policy: SocketPolicy) => void,
): Settings {
  const servers = new WeakMap<object, ServerEntry>()
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
    if (policy === record.policy) return
    record.policy = policy
    onPolicy(policy)
  }

  function isOf({ socket, hint }: SocketRecord, server: object): boolean {
    return serverOf(socket) === server || hint?.server === server
  }

  function labelOf({ socket, hint, settings }: SocketRecord): string | null {
    const accepting = serverOf(socket)
    return (
      settings?.label ??
      (hint?.server ? servers.get(hint.server) : undefined)?.given.label ??
      (accepting === null ? undefined : servers.get(accepting))?.given.label ??
      null
    )
  }

  return {
    apply,
    isOf,
    labelOf,
    configure(record, policy) {
      // An invalid policy throws before anything changes.
      if (policy !== null) resolvePolicy(policy, record.policy)
      const own = record.settings ?? NOTHING
      record.settings = { ...own, policy: policy === null ? null : merged(own.policy, policy) }
      apply(record)
    },
    label(record, label) {
      record.settings = { ...(record.settings ?? NOTHING), label }
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

function merged(earlier: PolicyOptions | null, later: PolicyOptions): PolicyOptions {
  const all: Record<string, unknown> = { ...earlier }
  for (const [name, value] of Object.entries(later)) {
    if (value === undefined) continue
    all[name] = isOptionBag(value) && isOptionBag(all[name]) ? { ...all[name], ...value } : value
  }
  return all
}
