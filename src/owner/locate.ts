// Finds where functions were written through an inspector session in the same process (`[[FunctionLocation]]`). The
// session first hears of every script, which blocks for about a tenth of a second.
import type { Session } from 'node:inspector'
import { readProcessWide, writeProcessWide } from '../base/process-wide.js'
import { messageOf } from '../base/warnings.js'
import { monotonicMs } from '../base/real-time.js'
import type { CodePlace, CodeReport } from '../core/report.js'
import type { Holder } from './holders.js'
import { frameOf, packageNameOf, type Place } from './stacks/frames.js'
import { recogniseOwnFrames } from './stacks/own-frames.js'
import { describePlace, Places } from './stacks/places.js'

export type Located = Pick<CodeReport, 'code' | 'reason' | 'blockedMs'>

export function locate(holders: readonly Holder[]): Located {
  const begunMs = monotonicMs()
  let code: CodePlace[] = []
  let reason: string | null = null
  try {
    code = describe(holders, placesOf(holders.map((holder) => holder.code)))
  } catch (error) {
    reason = messageOf(error)
  }
  return { code, reason, blockedMs: Math.round(monotonicMs() - begunMs) }
}

function describe(holders: readonly Holder[], found: readonly (Place | null)[]): CodePlace[] {
  const own = recogniseOwnFrames()
  const places = new Places()
  return holders.flatMap(({ how, name }, i) => {
    const place = found[i] ?? null
    if (place === null || own.isOwn(place.file)) return []
    const [shown] = places.show([place])
    if (shown === undefined) return []
    const { file, line } = shown
    return [{ how, name, file, line, package: packageNameOf(place), place: describePlace(shown) }]
  })
}

const SLOT = 'located'

function placesOf(functions: readonly Function[]): (Place | null)[] {
  if (functions.length === 0) return []
  const inspector = process.getBuiltinModule('node:inspector')
  // Its address would let a reader of the report run code. A visit comes through it (cli/attach/guest.ts).
  const isVisited = readProcessWide('visit') !== undefined
  if (inspector.url() !== undefined && !isVisited)
    throw new Error('an inspector is attached: ask it for the functions')
  const session = new inspector.Session()
  session.connect()
  try {
    writeProcessWide(SLOT, functions)
    const expression = `process.getBuiltinModule('node:net').Socket[Symbol.for('socket-leak-guard/${SLOT}/v1')]`
    return locationsOf(session, expression)
  } finally {
    writeProcessWide(SLOT, undefined)
    session.disconnect()
  }
}

interface Remote {
  readonly objectId?: string
  readonly value?: unknown
}

interface Properties {
  readonly result: readonly { readonly name: string; readonly value?: Remote }[]
  readonly internalProperties?: readonly { readonly name: string; readonly value?: Remote }[]
}

interface Location {
  readonly scriptId: string
  readonly lineNumber: number
  readonly columnNumber: number
}

function locationsOf(session: Session, expression: string): (Place | null)[] {
  const urls = new Map<string, string>()
  session.on('Debugger.scriptParsed', ({ params }) => urls.set(params.scriptId, params.url))
  const { result: list } = ask(session, 'Runtime.evaluate', { expression }) as { result: Remote }
  const { result } = propertiesOf(session, list)
  const functions = result.filter(({ name }) => /^\d+$/.test(name))
  const locations = functions.map(({ value }) => locationOf(session, value))
  ask(session, 'Debugger.enable')
  ask(session, 'Debugger.disable')
  return locations.map((at) => {
    const url = at === null ? undefined : urls.get(at.scriptId)
    return at === null || url === undefined
      ? null
      : frameOf(` ${url}:${at.lineNumber + 1}:${at.columnNumber + 1}`)
  })
}

function locationOf(session: Session, code: Remote | undefined): Location | null {
  if (code?.objectId === undefined) return null
  const { internalProperties = [] } = propertiesOf(session, code)
  const target = internalProperties.find(({ name }) => name === '[[TargetFunction]]')
  if (target !== undefined) return locationOf(session, target.value)
  return (internalProperties.find(({ name }) => name === '[[FunctionLocation]]')?.value?.value ??
    null) as Location | null
}

function propertiesOf(session: Session, { objectId }: Remote): Properties {
  return ask(session, 'Runtime.getProperties', { objectId, ownProperties: true }) as Properties
}

/** A session in the same thread answers before `post()` returns. */
function ask(session: Session, method: string, params: object = {}): unknown {
  let failure: Error | null = null
  let answer: unknown
  session.post(method, params, (error, result) => {
    failure = error
    answer = result
  })
  if (failure !== null) throw new Error(`${method} failed`, { cause: failure })
  return answer
}
