/** Holds what the report says of a leak against the truth. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { SocketReport } from '../../src/index.js'
import { foldPath } from '../../src/owner/site.js'
import { PACKAGE_ROOT } from '../support/package-root.js'
import type { Scenario } from './scenarios.js'

/**
 * - `right`: the site, the request or the innermost frame leads to the code, and nothing leads elsewhere
 * - `wrong`: something names another route, another request or another place
 * - `unnamed`: no more than a port, a host or a frame of a dependency
 * - `missing`: there is no such socket
 */
export type Naming = 'right' | 'wrong' | 'unnamed' | 'missing'

export interface Judgement {
  readonly naming: Naming
  /** Without the host at the other end; empty where there is no such socket. */
  readonly site: string
  /** What led to the code, or what led elsewhere. */
  readonly because: readonly string[]
}

export function judgeNaming(scenario: Scenario, socket: SocketReport | null): Judgement {
  if (socket === null) return { naming: 'missing', site: '', because: [] }
  const claims = claimsOf(scenario, socket)
  const site = siteOf(socket.owner)
  const wrong = claims.filter(({ isTrue }) => !isTrue).map(({ text }) => text)
  if (wrong.length > 0) return { naming: 'wrong', site, because: wrong }
  const right = claims.filter(({ isNaming }) => isNaming).map(({ text }) => text)
  return { naming: right.length > 0 ? 'right' : 'unnamed', site, because: right }
}

function siteOf({ site }: SocketReport['owner']): string {
  return site.replace(/ → .*$/, '')
}

interface Claim {
  readonly text: string
  readonly isTrue: boolean
  /** Tells the reader where to look; a remark that is merely true does not. */
  readonly isNaming: boolean
}

function claimsOf(scenario: Scenario, { owner }: SocketReport): Claim[] {
  const { names, outgoing, id, marks = id } = scenario

  // Where no route is known, a site has no ids.
  const sites = names.map((name) => name.replace(/(?<= )\/.*/, foldPath))
  const judgeName = (text: string): Claim => ({
    text,
    isTrue: names.includes(text) || sites.includes(text),
    isNaming: true,
  })

  function judgePlace(line: string, isNaming: boolean): Claim[] {
    const place = /^\S+:\d+/.exec(line)?.[0] ?? line
    if (place.includes('node_modules')) return []
    return [{ text: place, isTrue: placesMarked(marks).has(place), isNaming }]
  }

  const claims: Claim[] = []
  const site = siteOf(owner)
  if (/\.[cm]?[jt]s:\d+$/.test(site)) claims.push(...judgePlace(site, true))
  else if (!/^(?:to |listener |outgoing$|unknown)/.test(site)) claims.push(judgeName(site))
  if (owner.request !== null) {
    const { method, path, origin } = owner.request
    const text = `${method} ${path}`
    if (origin !== undefined) claims.push({ text, isTrue: text === outgoing, isNaming: names.includes(text) })
    else if (!/^(?:upgrade|CONNECT)/.test(site)) claims.push(judgeName(text))
  }
  const context = owner.context['request']
  if (context !== undefined) claims.push(judgeName(context))
  if (owner.stack != null) claims.push(...judgePlace(owner.stack[0]!, true))
  // Who opened a connection of a pool is told as a fact, whoever uses it now.
  for (const [kind, stack] of Object.entries(owner.accesses ?? {}))
    if (kind !== 'created' && stack !== null) claims.push(...judgePlace(stack[0], false))
  return claims
}

let marked: Map<string, Set<string>> | null = null

/** Lines that end in `// leaks: <id>`; where that stands alone, the line above it. In the sources and compiled. */
function placesMarked(id: string): ReadonlySet<string> {
  marked ??= readMarks()
  return marked.get(id) ?? new Set()
}

function readMarks(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const folder of ['test/field/apps', 'build/test/field/apps']) {
    for (const file of readdirSync(join(PACKAGE_ROOT, folder))) {
      if (!/(?<!\.d)\.[jt]s$/.test(file)) continue
      const lines = readFileSync(join(PACKAGE_ROOT, folder, file), 'utf8').split('\n')
      lines.forEach((line, index) => {
        const [, before = '', ids = ''] = /^(.*)\/\/ leaks: (.*)$/.exec(line) ?? []
        for (const id of ids.split(' ').filter((name) => name !== '')) {
          const places = found.get(id) ?? new Set()
          places.add(`${folder}/${basename(file)}:${before.trim() === '' ? index : index + 1}`)
          found.set(id, places)
        }
      })
    }
  }
  return found
}
