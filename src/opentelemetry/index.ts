import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Meter } from '@opentelemetry/api'
import { describeValue, SocketLeakGuardError } from '../base/errors.js'
import { callShielded, warnOnce } from '../base/warnings.js'
import type { GuardEvent } from '../core/report.js'
import type { EventType } from '../core/vocabulary.js'
import { installedGuard } from '../guard/registry.js'
import { invalidOption } from '../options/rules.js'
import { createStuckTimes, observeMetrics } from './metrics.js'
import { noteOnSpan, type TracingApi } from './spans.js'

export interface OpenTelemetryApi {
  readonly metrics: { getMeter(name: string): object }
  readonly trace: { getTracer(name: string): object; getActiveSpan(): object | undefined }
  readonly propagation: object
  readonly ROOT_CONTEXT: object
}

const SCOPE = 'socket-leak-guard'
const ON_SPANS = ['leaked', 'stalled'] as const satisfies readonly EventType[]
const ENDS = ['recovered', 'reclaimed', 'dead'] as const satisfies readonly EventType[]

/**
 * Gives the guard's metrics to OpenTelemetry, and adds an event to the span of the request whose socket leaked. Call it
 * after the SDK has started, because a meter taken earlier does nothing. Costs a report for each collection.
 * @param api the package `@opentelemetry/api`, version 1, as the application has it
 * @returns a function that undoes it
 * @throws `SLG_ERR_INVALID_OPTION`, `SLG_ERR_UNINSTALLED` without an installed guard
 * @example
 *   import * as api from '@opentelemetry/api'
 *   import { observe } from 'socket-leak-guard/opentelemetry'
 *   observe(api)
 */
export function observe(api: OpenTelemetryApi): () => void {
  if (typeof api?.metrics?.getMeter !== 'function' || typeof api.trace?.getActiveSpan !== 'function')
    throw invalidOption('api', 'the package @opentelemetry/api, version 1', describeValue(api))
  const guard = installedGuard()
  if (guard === null)
    throw new SocketLeakGuardError(
      'SLG_ERR_UNINSTALLED',
      'there is no guard that could be observed: call install() first, or preload it',
    )
  const meter = api.metrics.getMeter(SCOPE) as Meter
  const tracing = api as OpenTelemetryApi & TracingApi
  const stop = observeMetrics(meter, guard.report({ limit: 0 }), () => {
    return installedGuard()?.report({ limit: 0 }) ?? null
  })
  const noteStuckTime = createStuckTimes(meter)

  function hearLeak(event: unknown): void {
    const present = installedGuard()
    if (present !== null) shielded(() => noteOnSpan(tracing, present, event as GuardEvent))
  }

  function hearEnd(event: unknown): void {
    shielded(() => noteStuckTime(event as GuardEvent))
  }

  for (const type of ON_SPANS) subscribe(`${SCOPE}:${type}`, hearLeak)
  for (const type of ENDS) subscribe(`${SCOPE}:${type}`, hearEnd)
  return function stopObserving() {
    stop()
    for (const type of ON_SPANS) unsubscribe(`${SCOPE}:${type}`, hearLeak)
    for (const type of ENDS) unsubscribe(`${SCOPE}:${type}`, hearEnd)
  }
}

/** What a channel's subscriber throws would end the process. */
function shielded(work: () => void): void {
  callShielded(work, (message) => {
    warnOnce('SLG_WARN_LISTENER', `telling OpenTelemetry of a socket failed: ${message}`)
  })
}
