/** Run by endpoint.test.ts: two cluster workers that are told the same address. Prints what became of each. */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { listenForReports } from '../../src/server/endpoint.js'
import { parseReportAddress } from '../../src/server/address.js'
import { createReportHandler } from '../../src/server/handler.js'
import { ReportSockets } from '../../src/server/report-sockets.js'
import { createFakeSource } from './fake-source.js'

async function runPrimary(): Promise<void> {
  // A free port, found by asking for one.
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  for (let i = 0; i < 2; i += 1) {
    const worker = cluster.fork({ REPORT_ADDRESS: `127.0.0.1:${port}` })
    const [outcome] = await once(worker, 'message')
    console.log(outcome)
  }
  for (const worker of Object.values(cluster.workers ?? {})) worker?.kill()
}

function runWorker(): void {
  const address = parseReportAddress(process.env['REPORT_ADDRESS'] ?? '')
  const { ready } = listenForReports(address, createReportHandler(createFakeSource()), new ReportSockets())
  ready.then(
    () => process.send?.('listening'),
    ({ message }) => process.send?.(message),
  )
}

if (cluster.isPrimary) await runPrimary()
else runWorker()
