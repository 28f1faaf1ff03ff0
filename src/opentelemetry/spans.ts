// The span of a request is found when its socket leaks. The HTTP instrumentation binds request and response to its
// context (instrumentation-http 0.223.0, src/http.ts; context-async-hooks 2.12.1, `bind`), so a listener added later
// and called at once sees the span; an outgoing response is bound to the context that made the request. undici's
// instrumentation sends its context in the request's headers (instrumentation-undici 0.33.0, src/undici.ts).
import { EventEmitter } from 'node:events'
import type { Attributes, Context, PropagationAPI, Span, SpanContext, TraceAPI } from '@opentelemetry/api'
import { readAny } from '../core/foreign.js'
import type { GuardEvent, SocketReport } from '../core/report.js'
import type { Guard } from '../guard/guard.js'
import { attributesOf, NAMESPACE } from './metrics.js'

const LOOK = Symbol('socket-leak-guard')
const SAMPLED = 1

export interface TracingApi {
  readonly trace: TraceAPI
  readonly propagation: PropagationAPI
  readonly ROOT_CONTEXT: Context
}

/** A span that is over, or out of reach, takes no event: then a short one of its own is linked to it. */
export function noteOnSpan(api: TracingApi, guard: Guard, { type, socket: report }: GuardEvent): void {
  const socket = guard.adapter.socketOf(report.id)
  const use = socket === null ? null : guard.adapter.useOf(socket)
  const span = spanBehind(api.trace, use?.response) ?? spanBehind(api.trace, use?.request)
  const context = span === null ? contextSentBy(api, use?.request ?? {}) : span.spanContext()
  const name = `${NAMESPACE}${type}`
  const attributes = describe(type, report)
  if (span?.isRecording() === true) span.addEvent(name, attributes)
  else if (context !== undefined && (context.traceFlags & SAMPLED) !== 0)
    api.trace
      .getTracer('socket-leak-guard')
      .startSpan(name, { root: true, attributes, links: [{ context }] })
      .end()
}

function contextSentBy(
  { trace, propagation, ROOT_CONTEXT }: TracingApi,
  request: object,
): SpanContext | undefined {
  // Name, value, name, value, in undici 6 to 8.
  const headers = readAny(request, 'headers')
  if (!Array.isArray(headers)) return undefined
  const carrier: Record<string, string> = {}
  for (let i = 0; i < headers.length; i += 2)
    carrier[String(headers[i]).toLowerCase()] = String(headers[i + 1])
  return trace.getSpanContext(propagation.extract(ROOT_CONTEXT, carrier))
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
