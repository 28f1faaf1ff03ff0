/** Completes the owner of a socket with what is known of the work that opened it, uses it and touched it last. */
import { formatEndpoint } from '../core/endpoint.js'
import type { AccessStacks, Owner } from '../core/report.js'
import { outgoingUseOf, type OutgoingUse } from './requests/outgoing-use.js'
import { describePlace, siteOfPlaces } from './stacks/places.js'
import { ACCESS_KINDS, type Accesses, type Capture } from './stacks/stacks.js'
import type { SocketEnds, TrackedSocket } from './tracked-socket.js'

/** @param served the request or upgrade of the connection that it is piped to, if there is one */
export function completeOwner(
  record: TrackedSocket,
  owner: Owner,
  { remote }: SocketEnds,
  served: string | null,
): Owner {
  const accesses = record.origin?.accesses ?? null
  if (record.direction === 'inbound') {
    if (accesses === null) return owner
    const stack = accesses.latest(['reader', 'paused', 'wrote', 'ended'])
    const site = owner.request === null ? siteOfCapture(stack) : null
    return { ...owner, site: site ?? owner.site, ...describeStacks(stack, accesses) }
  }
  const use = outgoingUseOf(record)
  const stack = stackOf(use, accesses)
  const context = { ...use.context, ...owner.context }
  const opener = context['request'] ?? served ?? siteOfCapture(stack)
  const knowsSite = owner.request === null && opener !== null && opener !== undefined
  return {
    ...owner,
    site: knowsSite ? (remote === null ? opener : `${opener} → ${formatEndpoint(remote)}`) : owner.site,
    request: owner.request ?? use.request,
    context,
    ...describeStacks(stack, accesses),
  }
}

/** A stack of the current user, or none: that of an earlier one would name the wrong code. */
function stackOf({ stack }: OutgoingUse, accesses: Accesses | null): Capture | null {
  if (stack !== 'opening') return stack === 'assignment' ? (accesses?.get('assigned') ?? null) : stack
  return accesses?.get('created') ?? null
}

function siteOfCapture(capture: Capture | null): string | null {
  return capture === null ? null : siteOfPlaces(capture.places())
}

function describeStacks(stack: Capture | null, accesses: Accesses | null): Pick<Owner, 'stack' | 'accesses'> {
  const lines = linesOf(stack)
  if (accesses === null) return { stack: lines }
  const described = Object.fromEntries(ACCESS_KINDS.map((kind) => [kind, linesOf(accesses.get(kind))]))
  return { stack: lines, accesses: described as unknown as AccessStacks }
}

function linesOf(capture: Capture | null): string[] | null {
  const places = capture?.places() ?? []
  return places.length === 0 ? null : places.map(describePlace)
}
