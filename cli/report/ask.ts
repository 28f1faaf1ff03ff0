/** Asks the report endpoint of a running guard. */
import { request as overHttp, type IncomingMessage } from 'node:http'
import { request as overTls } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Report } from '../../src/core/report.js'
import { EXIT, Failure, type Flag, type Given } from '../command.js'

const PATIENCE_MS = 30_000
const TOKEN_VARIABLE = 'SOCKET_LEAK_GUARD_REPORT_TOKEN'

export const TOKEN_FLAG: Flag = {
  type: 'string',
  value: 'TOKEN',
  help: `bearer token of the endpoint; other users don't see ${TOKEN_VARIABLE}`,
}

type Query = Readonly<Record<string, string | number>>
export type Ask = (query: Query) => Promise<string>

/** `http://host:9465/leaks`, `host:9465`, `9465`, `unix:/run/app.sock`. */
export function askerOf(given: Given): Ask {
  const [place = ''] = given.operands
  const token = given.text('token') ?? process.env[TOKEN_VARIABLE]
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const { socketPath, url } = targetOf(place)

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
    if (response.statusCode === 200) return body
    throw new Failure(`no report at ${place}: ${response.statusCode} ${reasonIn(body)}`.trimEnd())
  }
}

function targetOf(place: string): { socketPath: string | undefined; url: URL } {
  if (place.startsWith('unix:')) {
    return { socketPath: place.slice('unix:'.length), url: new URL('http://localhost/') }
  }
  const whole = /^\d+$/.test(place) ? `127.0.0.1:${place}` : place
  const url = /^https?:\/\//.test(whole) ? whole : `http://${whole}`
  if (!URL.canParse(url)) {
    throw new Failure(`a URL or unix:PATH was expected, got ${JSON.stringify(place)}`, EXIT.usage)
  }
  return { socketPath: undefined, url: new URL(url) }
}

function reasonIn(body: string): string {
  try {
    return (JSON.parse(body) as { error?: { message?: string } }).error?.message ?? ''
  } catch {
    return ''
  }
}

export function readReport(json: string, from: string): Report {
  try {
    const report = JSON.parse(json) as Report | null
    if (report?.schema.startsWith('socket-leak-guard/report/')) return report
  } catch {
    // Said below.
  }
  throw new Failure(`${from} is no report of socket-leak-guard`)
}
