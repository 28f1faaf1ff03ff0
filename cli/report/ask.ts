/** Asks the report endpoint of a running guard, or all those in a folder. */
import { statSync } from 'node:fs'
import { request as overHttp, type IncomingMessage } from 'node:http'
import { request as overTls } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Report } from '../../src/core/report.js'
import type { FleetReport } from '../../src/fleet/index.js'
import { withoutQueries } from '../../src/report/printable.js'
import { EXIT, Failure, urlOf, type Flag, type Given } from '../command.js'

const PATIENCE_MS = 30_000
/** As text and as JSON. */
const IS_REPORT = /^(?:socket-leak-guard: |\{\s*"schema": "socket-leak-guard\/)/
const TOKEN_VARIABLE = 'SOCKET_LEAK_GUARD_REPORT_TOKEN'

export const TOKEN_FLAG: Flag = {
  type: 'string',
  value: 'TOKEN',
  help: `bearer token of the endpoint; other users don't see ${TOKEN_VARIABLE}`,
}

type Query = Readonly<Record<string, string | number>>
export type Ask = (query: Query) => Promise<string>

export const PLACE = 'URL|unix:PATH'
/** Of `PLACE`, for the help. */
export const PLACES =
  'URL is also PORT or HOST:PORT. PATH is a socket, or a folder of sockets: one report of all its processes then.'

/** `http://host:9465/leaks`, `host:9465`, `9465`, `unix:/run/app.sock`, `/run/app.sock`, and the folder `unix:/run/app-guard`. */
export function askerOf(given: Given): Ask {
  const [place = ''] = given.operands
  const token = given.text('token') ?? process.env[TOKEN_VARIABLE]
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const { socketPath, url } = targetOf(place)
  if (socketPath !== undefined && isFolder(socketPath)) return (query) => askFleet(socketPath, token, query)

  return async function ask(query) {
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = url.protocol === 'https:' ? overTls : overHttp
      const asked = request(url, { headers, socketPath, agent: false, timeout: PATIENCE_MS }, resolve)
      asked.once('timeout', () => asked.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s`)))
      asked.once('error', reject).end()
    }).catch((error: NodeJS.ErrnoException) => {
      throw new Failure(`no report at ${place}: ${error.message || error.code}`)
    })
    const body = await text(response)
    if (response.statusCode === 200 && IS_REPORT.test(body)) return body
    if (response.statusCode === 200)
      throw new Failure(`${place} answers with something else than a report of socket-leak-guard`)
    throw new Failure(`no report at ${place}: ${response.statusCode} ${reasonIn(body)}`.trimEnd())
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    // Who connects is told why.
    return false
  }
}

async function askFleet(folder: string, reportToken: string | undefined, query: Query): Promise<string> {
  const { format, limit, all } = query
  if (all === 1) throw new Failure('--all is for the report of one process', EXIT.usage)
  const { readFleet, renderFleetText } = await import('../../src/fleet/index.js')
  const read = await readFleet({ folder, reportToken }).catch((error: Error) => {
    throw new Failure(`no report at ${folder}: ${error.message}`)
  })
  const { processes } = read
  if (processes.length === 0)
    throw new Failure(
      `no process has its report in ${folder}: start them with SOCKET_LEAK_GUARD_REPORT=unix:${folder}/%p.sock`,
    )
  if (processes.every(({ reason }) => reason !== null))
    throw new Failure(`no report at ${processes[0]!.address}: ${processes[0]!.reason}`)
  const fleet = withoutQueries(read)
  if (format === 'text') return renderFleetText(fleet, Number(limit))
  return JSON.stringify({ ...fleet, sockets: fleet.sockets.slice(0, Number(limit)) }, null, 2)
}

function targetOf(place: string): { socketPath: string | undefined; url: URL } {
  const [, socketPath] = /^(?:unix:|(?=[./]))(.*)$/.exec(place) ?? []
  if (socketPath !== undefined) return { socketPath, url: new URL('http://localhost/') }
  const url = urlOf(place)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Failure(`a URL or unix:PATH was expected, got ${JSON.stringify(place)}`, EXIT.usage)
  }
  return { socketPath: undefined, url }
}

function reasonIn(body: string): string {
  try {
    return (JSON.parse(body) as { error?: { message?: string } }).error?.message ?? ''
  } catch {
    return ''
  }
}

/** Of a process, or of a fleet. */
export function readReport(json: string, from: string): Report | FleetReport {
  try {
    const report = JSON.parse(json) as Report | FleetReport | null
    if (/^socket-leak-guard\/(?:report|fleet)\//.test(report?.schema ?? '')) return report!
  } catch {
    // Said below.
  }
  throw new Failure(`${from} is no report of socket-leak-guard`)
}
