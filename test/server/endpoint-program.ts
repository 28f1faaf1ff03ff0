/** Run by endpoint.test.ts: a process that lives as long as its standard input, with an endpoint beside it. */
import { listenForReports } from '../../src/server/endpoint.js'
import { parseReportAddress } from '../../src/server/address.js'
import { createReportHandler } from '../../src/server/handler.js'
import { ReportSockets } from '../../src/server/report-sockets.js'
import { createFakeSource } from './fake-source.js'

const endpoint = listenForReports(
  parseReportAddress(process.argv[2] ?? ''),
  createReportHandler(createFakeSource()),
  new ReportSockets(),
)
// Nobody handles a rejection here.
process.stdin.on('data', (text) => {
  if (text.toString().includes('exit')) process.exit(0)
  if (text.toString().includes('ready'))
    endpoint.ready.then(
      ({ url }) => console.log(url),
      ({ code, message }) => console.log(`${code}: ${message}`),
    )
})
