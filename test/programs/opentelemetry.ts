/** An application under OpenTelemetry whose requests leak. Prints what its exporters and a collector were given. */
import * as api from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { once } from 'node:events'
import type Http from 'node:http'
import { createRequire } from 'node:module'
import net, { type AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { install } from '../../src/index.js'
import { observe } from '../../src/opentelemetry/index.js'
import { until } from '../support/until.js'

const spans = new InMemorySpanExporter()
const tracers = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
tracers.register()
new HttpInstrumentation({
  ignoreIncomingRequestHook: ({ url }) => url === '/v1/metrics',
}).setTracerProvider(tracers)
// Instrumented, because it is loaded by require().
const http = createRequire(import.meta.url)('http') as typeof Http

const guard = install({ graceMs: 100, sweepMs: 60_000, context: 'off' })

/** What a collector would be sent (opentelemetry.io/docs/specs/otlp, section OTLP/HTTP). */
const collected: { path: string | undefined; body: unknown }[] = []
const collector = http.createServer((request, response) => {
  void json(request).then((body) => {
    collected.push({ path: request.url, body })
    response.setHeader('content-type', 'application/json').end('{}')
  })
})
await once(collector.listen(0, '127.0.0.1'), 'listening')

const memory = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const inMemory = new PeriodicExportingMetricReader({ exporter: memory, exportIntervalMillis: 3_600_000 })
const overHttp = new PeriodicExportingMetricReader({
  exporter: new OTLPMetricExporter({
    url: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/metrics`,
  }),
  exportIntervalMillis: 3_600_000,
})
const meters = new MeterProvider({ readers: [inMemory, overHttp] })
api.metrics.setGlobalMeterProvider(meters)
const stop = observe(api)

const upstream = net.createServer((socket) => {
  socket.resume().write('HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n')
  // More than Node takes in without a reader.
  socket.end(Buffer.alloc(300_000))
})
await once(upstream.listen(0, '127.0.0.1'), 'listening')

const server = http.createServer((request, response) => {
  if (request.url === '/never') return
  const { port } = upstream.address() as AddressInfo
  http.get({ port, host: '127.0.0.1', agent: false }, () => response.end('did not read it'))
})
// Otherwise Node ends its side as soon as the client has (lib/_http_server.js `socketOnEnd`).
Object.assign(server, { httpAllowHalfOpen: true })
await once(server.listen(0, '127.0.0.1'), 'listening')
const { port } = server.address() as AddressInfo
const isLeaked = (direction: string) =>
  guard.sweep().sockets.some((socket) => socket.direction === direction && socket.verdict === 'leaked')

// The handler never answers, and the client has ended.
const never = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
never.resume().end('GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n')
never.on('error', () => {})
await once(server, 'request')
guard.exempt(never)
await until(() => isLeaked('inbound'), 'the request leaks')
guard.reclaim(guard.snapshot().sockets.find(({ verdict }) => verdict === 'leaked')!.id, 'destroy')
never.destroy()
await until(() => spans.getFinishedSpans().length > 0, 'its span has ended')

// The answer is given, and its upstream's is never read.
const quick = net.connect({ port, host: '127.0.0.1' })
quick.write('GET /quick HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
quick.resume()
await once(quick, 'close')
await until(() => isLeaked('outbound'), 'the answer of the upstream leaks')

await inMemory.forceFlush()
await overHttp.forceFlush()
const metrics = memory.getMetrics().at(-1)!.scopeMetrics
stop()
guard.sweep()
memory.reset()
await inMemory.forceFlush()

process.stdout.write(
  JSON.stringify({
    spans: spans.getFinishedSpans().map((span) => {
      const { name, kind, events, links, attributes } = span
      return { name, kind, events, links, attributes, id: span.spanContext().spanId }
    }),
    metrics,
    collected,
    afterwards: memory
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics)),
  }),
  () => process.exit(),
)
