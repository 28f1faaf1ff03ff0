/** An application under OpenTelemetry whose requests leak. Prints what its exporters sent to a collector. */
import * as api from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { once } from 'node:events'
import type Http from 'node:http'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import net, { type AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { install } from '../../src/index.js'
import { observe } from '../../src/opentelemetry/index.js'
import { until } from '../support/until.js'

/** Of `127.0.0.1`. */
const portOf = (server: net.Server): number => (server.address() as AddressInfo).port

// What a collector is sent (opentelemetry.io/docs/specs/otlp, section OTLP/HTTP). Another may be given for the metrics.
const collected: { path: string | undefined; body: unknown }[] = []
const stub = createServer((request, response) => {
  void json(request).then((body) => {
    collected.push({ path: request.url, body })
    response.setHeader('content-type', 'application/json').end('{}')
  })
})
await once(stub.listen(0, '127.0.0.1'), 'listening')
const collector = `http://127.0.0.1:${portOf(stub)}/v1`

const tracers = new NodeTracerProvider({
  spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: `${collector}/traces` }))],
})
tracers.register()
new HttpInstrumentation({
  ignoreIncomingRequestHook: ({ url }) => url?.startsWith('/v1/') === true,
}).setTracerProvider(tracers)
new UndiciInstrumentation().setTracerProvider(tracers)
// Instrumented, because it is loaded by require().
const http = createRequire(import.meta.url)('http') as typeof Http

const guard = install({ graceMs: 100, sweepMs: 60_000, context: 'off' })
const meters = new MeterProvider({
  readers: [
    new PeriodicExportingMetricReader({
      exporter: new OTLPMetricExporter({ url: process.argv[2] ?? `${collector}/metrics` }),
      exportIntervalMillis: 3_600_000,
    }),
  ],
})
api.metrics.setGlobalMeterProvider(meters)
const stop = observe(api)

const upstream = net.createServer((socket) => {
  guard.exempt(socket.on('error', () => {}))
  socket.resume().write('HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n')
  // More than Node takes in without a reader.
  socket.end(Buffer.alloc(300_000))
})
await once(upstream.listen(0, '127.0.0.1'), 'listening')

let fetched: Response | undefined
const server = http.createServer((request, response) => {
  const port = portOf(upstream)
  if (request.url === '/quick')
    http.get({ port, host: '127.0.0.1', agent: false }, () => response.end('did not read it'))
  if (request.url === '/fetches')
    void fetch(`http://127.0.0.1:${port}/fetched`).then((answer) => {
      fetched = answer
      response.end('did not read it')
    })
})
// Otherwise Node ends its side as soon as the client has (lib/_http_server.js `socketOnEnd`).
Object.assign(server, { httpAllowHalfOpen: true })
await once(server.listen(0, '127.0.0.1'), 'listening')

function leaked(direction: string): number {
  const { sockets } = guard.sweep()
  return sockets.filter((socket) => socket.direction === direction && socket.verdict === 'leaked').length
}

// The handler never answers, and the client has ended.
const never = net.connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true })
never.resume().end('GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n')
never.on('error', () => {})
await once(server, 'request')
guard.exempt(never)
await until(() => leaked('inbound') === 1, 'the request leaks')
guard.reclaim(guard.snapshot().sockets.find(({ verdict }) => verdict === 'leaked')!.id, 'destroy')
never.destroy()

// The answer is given, and its upstream's is never read.
for (const [i, path] of ['/quick', '/fetches'].entries()) {
  const client = net.connect({ port: portOf(server), host: '127.0.0.1' })
  client.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`)
  client.resume()
  await once(client, 'close')
  await until(() => leaked('outbound') === i + 1, 'the answer of the upstream leaks')
}

await meters.forceFlush()
stop()
guard.sweep()
await meters.forceFlush()
// The span of a fetch() lasts until its body has come or failed.
for (const { id, direction } of guard.snapshot().sockets)
  if (direction === 'outbound') guard.reclaim(id, 'destroy')
await fetched?.text().catch(() => {})
await tracers.forceFlush()

process.stdout.write(JSON.stringify(collected), () => process.exit())
