// The span of a request is found when its socket leaks, not noted when it comes. The HTTP instrumentation binds request
// and response to its context (instrumentation-http 0.223.0, src/http.ts), so that a listener that is added later runs in
// it too (context-async-hooks 2.12.1, `bind`): one that is called at once sees the span. An outgoing response is bound to
// the context that the request was made in.
import { EventEmitter } from 'node:events'
import type { Attributes, Span, TraceAPI } from '@opentelemetry/api'
import type { GuardEvent, SocketReport } from '../core/report.js'
import type { Guard } from '../guard/guard.js'
import { attributesOf, NAMESPACE } from './metrics.js'

const LOOK = Symbol('socket-leak-guard')
const SAMPLED = 1

/** A span that is over takes no event: then a short one of its own is linked to it. */
export function noteOnSpan(tracing: TraceAPI, guard: Guard, { type, socket: report }: GuardEvent): void {
  const socket = guard.adapter.socketOf(report.id)
  const use = socket === null ? null : guard.adapter.useOf(socket)
  const span = spanBehind(tracing, use?.response) ?? spanBehind(tracing, use?.request)
  if (span === null) return
  const name = `${NAMESPACE}${type}`
  const attributes = describe(type, report)
  if (span.isRecording()) span.addEvent(name, attributes)
  else if ((span.spanContext().traceFlags & SAMPLED) !== 0)
    tracing
      .getTracer('socket-leak-guard')
      .startSpan(name, { root: true, attributes, links: [{ context: span.spanContext() }] })
      .end()
}

function spanBehind(tracing: TraceAPI, message: unknown): Span | null {
  if (!(message instanceof EventEmitter)) return null
  let span: Span | undefined
  function look(): void {
    span = tracing.getActiveSpan()
  }
  message.on(LOOK, look)
  message.emit(LOOK)
  message.off(LOOK, look)
  return span ?? null
}

function describe(verdict: string, report: SocketReport): Attributes {
  const { condition, direction, remote, owner, diagnosis } = report
  return {
    ...attributesOf({ verdict, condition: condition ?? 'none', direction, site: owner.site, diagnosis }),
    ...(remote !== null && { 'network.peer.address': remote.address }),
    ...(remote !== null && remote.port !== null && { 'network.peer.port': remote.port }),
  }
}
