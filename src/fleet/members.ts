/** Asks each process whose report listens on a Unix socket in a folder. */
import { lstatSync, readdirSync, statSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { errorCode } from '../base/errors.js'
import { messageOf } from '../base/warnings.js'
import { clearTimeout, setTimeout } from '../base/real-time.js'
import { REPORT_SCHEMA, type Report } from '../core/report.js'
import type { ReportSockets } from '../server/report-sockets.js'
import { isStaleSocketFile } from '../server/socket-file.js'
import type { Member } from './roll-up.js'

export interface MemberQuery {
  readonly token: string | null
  readonly limit: number
  readonly timeoutMs: number
}

const MOST_MEMBERS = 500
const AT_ONCE = 16
const MOST_BYTES = 32 * 1024 * 1024

export async function readMembers(folder: string, query: MemberQuery, own: ReportSockets): Promise<Member[]> {
  const owners = [statSync(folder).uid, process.geteuid?.()]
  const names = readdirSync(folder)
    .filter((name) => {
      const file = lstatSync(join(folder, name), { throwIfNoEntry: false })
      return file?.isSocket() === true && owners.includes(file.uid)
    })
    .sort()
  const members: Member[] = names
    .splice(MOST_MEMBERS)
    .map((name) => memberAt(folder, name, null, `not asked: at most ${MOST_MEMBERS} are`))
  async function askNext(): Promise<void> {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const member = await readMember(folder, name, query, own)
      if (member !== null) members.push(member)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, askNext))
  return members.sort((a, b) => (a.process < b.process ? -1 : 1))
}

/** `null` for a process that is gone. */
async function readMember(
  folder: string,
  name: string,
  query: MemberQuery,
  own: ReportSockets,
): Promise<Member | null> {
  const path = join(folder, name)
  try {
    return memberAt(folder, name, await askForReport(path, query, own), null)
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ECONNREFUSED' && isOfDead(name)) await isStaleSocketFile(path, own)
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return null
    return memberAt(folder, name, null, messageOf(error))
  }
}

function memberAt(folder: string, name: string, report: Report | null, reason: string | null): Member {
  return { process: name.replace(/\.sock$/, ''), address: `unix:${join(folder, name)}`, report, reason }
}

/** A folder may hold sockets of others, which only look dead. */
function isOfDead(name: string): boolean {
  const [, pid] = /^(\d+)(?:-\d+)?\.sock$/.exec(name) ?? []
  if (pid === undefined) return false
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return errorCode(error) === 'ESRCH'
  }
}

async function askForReport(
  socketPath: string,
  { token, limit, timeoutMs }: MemberQuery,
  own: ReportSockets,
): Promise<Report> {
  const asked = request({
    createConnection() {
      const socket = new Socket()
      // Before connecting, which makes trackers adopt the socket.
      own.add(socket)
      return socket.connect(socketPath)
    },
    path: `/?format=json&limit=${limit}`,
    headers: { host: 'localhost', ...(token !== null && { authorization: `Bearer ${token}` }) },
  })
  async function answer(): Promise<Report> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      asked.on('response', resolve).on('error', reject).end()
      // An upgrade is neither.
      asked.on('close', () => reject(new Error('it closed the connection without an answer')))
    })
    const body = await readBody(response)
    if (response.statusCode !== 200) throw new Error(`it answered with status ${response.statusCode}`)
    return parseReport(body)
  }

  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([answer(), late])
  } finally {
    clearTimeout(timer)
    asked.destroy()
  }
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MOST_BYTES) throw new Error('its report is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parseReport(text: string): Report {
  const report = JSON.parse(text) as Partial<Report>
  if (report.schema !== REPORT_SCHEMA || report.measures === undefined || report.totals === undefined)
    throw new Error('it answered with something else than a report of this version')
  return report as Report
}
