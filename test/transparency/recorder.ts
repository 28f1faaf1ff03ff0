/**
 * Writes down what a program can observe of its emitters: each emitter's events in their order, with arguments, the listeners that
 * were there, the stack, and at turning points its keys and what `util.inspect` shows. Which of two emitters came first is up to the
 * kernel, so every emitter has a diary of its own.
 */
import { createHook } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { isMainThread, threadId } from 'node:worker_threads'

/** Told as a whole: how many chunks there are is up to the kernel. */
const FLOWING = new Set<unknown>(['data', 'drain', 'readable', 'pause', 'resume'])
const TURNING_POINTS = new Set<unknown>(
  `connection secureConnection connect ready secureConnect end finish close request response upgrade session stream error timeout
  aborted listening`.split(/\s+/),
)
/** What the guard makes of these shows in nothing else. */
const OWN_RESOURCES = new Set(['SocketLeakGuard', 'Timeout', 'Immediate'])
/** Ends and pipes of theirs come in any order: of these it is told only what they emit. */
const OF_OTHER_PROCESSES = new Set(['ChildProcess', 'Worker', 'MessagePort', 'Process'])
/** The guard's own code, as it is published. */
const OWN_FRAME = /\/dist\/(?:register\.cjs|register\.js|index\.js|chunks\/)/

interface Diary {
  readonly kind: string
  readonly lines: string[]
  readonly data: Buffer[]
}

export interface Recorder {
  /** A fact that the program itself states. */
  note(...facts: unknown[]): void
}

/** @param folder gets one file for each process and thread, named by its role, when that ends */
export function startRecording(role: string, folder: string): Recorder {
  const diaries = new Map<EventEmitter, Diary>()
  const notes: string[] = []
  const asyncKinds = new Set<string>()
  const emit = EventEmitter.prototype.emit

  function diaryOf(emitter: EventEmitter): Diary {
    let diary = diaries.get(emitter)
    if (diary === undefined) {
      diary = { kind: kindOf(emitter), lines: [], data: [] }
      diaries.set(emitter, diary)
    }
    return diary
  }

  function note(emitter: EventEmitter, event: string | symbol, args: readonly unknown[]): void {
    if (emitter === process) return
    const diary = diaryOf(emitter)
    if (FLOWING.has(event)) {
      if (event === 'data' && (typeof args[0] === 'string' || args[0] instanceof Uint8Array))
        diary.data.push(Buffer.from(args[0]))
      return
    }
    diary.lines.push(`${String(event)}(${args.map(brief).join(', ')})`)
    if (OF_OTHER_PROCESSES.has(diary.kind)) {
      diary.lines.sort()
      return
    }
    diary.lines.push(...stackHere())
    if (!TURNING_POINTS.has(event)) return
    const listeners = emitter.eventNames().map((name) => `${String(name)}: ${emitter.listenerCount(name)}`)
    diary.lines.push(
      `listeners ${listeners.sort().join()}`,
      `keys ${Object.keys(emitter).join()} ${Object.getOwnPropertySymbols(emitter).map(String).join()}`,
      steady(inspect(emitter)),
    )
  }

  Object.defineProperty(EventEmitter.prototype, 'emit', {
    ...Object.getOwnPropertyDescriptor(EventEmitter.prototype, 'emit'),
    value: {
      emit(this: EventEmitter, event: string | symbol, ...args: unknown[]): boolean {
        note(this, event, args)
        return Reflect.apply(emit, this, [event, ...args])
      },
    }.emit,
  })
  createHook({
    init(_id, type) {
      if (!OWN_RESOURCES.has(type)) asyncKinds.add(type)
    },
  }).enable()

  process.on('exit', (code) => {
    const file = join(folder, `${role}-${isMainThread ? '' : `thread-${threadId}`}-${process.pid}.json`)
    const emitters = [...diaries].map(([emitter, { kind, lines, data }]) => [
      kind,
      ...lines,
      `at last ${listenersOf(emitter)}`,
      describeData(Buffer.concat(data)),
    ])
    mkdirSync(folder, { recursive: true })
    const facts = { role, code, notes, ...surroundings(), asyncKinds: [...asyncKinds].sort() }
    writeFileSync(
      file,
      JSON.stringify({ ...facts, emitters: emitters.map((lines) => steady(lines.join('\n'))).sort() }),
    )
  })

  return { note: (...facts) => void notes.push(facts.map(brief).join(' ')) }
}

/** TLS records and what a WebSocket's client sends are made of random bytes. */
function describeData(data: Buffer): string {
  const isTls = data[0] !== undefined && data[0] >= 20 && data[0] <= 23 && data[1] === 3
  const isMasked = data[0] !== undefined && data[0] >= 0x80 && (data[1] ?? 0) >= 0x80
  if (isTls || isMasked) return `${data.length} bytes of random data`
  // The garbage collector decides whether the last GOAWAYs of HTTP/2 still meet their session.
  if (data.length > 0 && data.length % 17 === 0 && data[3] === 7)
    return describeData(data.subarray(data.length))
  const text = steady(data.toString('latin1')).replace(/^(Sec-WebSocket-Accept: ).*$/m, '$1')
  const sum = createHash('sha1').update(text).digest('base64url')
  return `${data.length} bytes of data, ${sum.slice(0, 12)}`
}

function listenersOf(emitter: EventEmitter): string {
  return emitter
    .eventNames()
    .map((name) => `${String(name)}: ${emitter.listenerCount(name)}`)
    .sort()
    .join()
}

function kindOf(emitter: EventEmitter): string {
  const name = emitter.constructor?.name ?? 'nameless'
  if (!(emitter instanceof net.Socket)) return name
  return (emitter as { server?: unknown }).server == null ? name : `${name} of a server`
}

function brief(value: unknown): string {
  if (value instanceof Error)
    return steady(inspect(Object.assign({}, value, { name: value.name, message: value.message })))
  if (value instanceof EventEmitter) return kindOf(value)
  if (typeof value === 'function') return `function ${value.name}/${value.length}`
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value.constructor?.name ?? '{}'
  return steady(inspect(value))
}

/** Without the guard's own frames, one at each call that it wraps; two in a row are one too many. */
function stackHere(): string[] {
  const frames = new Error().stack!.split('\n').slice(1)
  const lines: string[] = []
  let wasOwn = false
  for (const frame of frames) {
    const isOwn = OWN_FRAME.test(frame)
    if (isOwn && wasOwn) lines.push('two frames of the guard')
    wasOwn = isOwn
    if (!isOwn && !frame.includes('/test/transparency/recorder.js')) lines.push(frame)
  }
  return lines
}

const NUMBERED =
  'asyncId|_asyncId|async_id_symbol|triggerId|trigger_async_id_symbol|_idleStart|fd|pid|port|remotePort|localPort|id|threadId|request-start-time'
const VARYING: readonly [pattern: RegExp, replacement: string][] = [
  [new RegExp(`\\b(${NUMBERED})('?\\)?\\]?: )-?[\\d.]+`, 'g'), '$1$2N'],
  [/(127\.0\.0\.1|localhost|\[?::1\]?):\d+/g, '$1:N'],
  [/_connectionKey: '[^']*'/g, '_connectionKey'],
  [/(Key: |Accept: |'|\()[\w+/-]{20,28}={0,2}(?=['\\)])/g, '$1KEY'],
  [/[\w-]{16}AAA[A-Z]/g, 'ID'],
  // From Node 24 on the guard knows by this in whose request a connection was opened; an empty one and none are alike to a program.
  [/(kAsyncContextFrame\)?\]?): .*/g, '$1'],
  // The thread's, before each error of OpenSSL.
  [/\b[0-9A-F]{8,16}:error:/g, ':error:'],
  [/\bdiff: \d+/g, 'diff'],
  [/<Buffer[^>]*>/g, '<Buffer>'],
  [/sessionIdContext: '\w+'/g, 'sessionIdContext'],
  [/\b(active|refed): \w+/g, '$1'],
  [/\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT/g, 'DATE'],
  [/\b\d{3,}\b/g, 'N'],
]

/** Without what is different each time, and without the guard's frames. */
function steady(text: string): string {
  const lines = text.split('\n').filter((line) => !OWN_FRAME.test(line))
  return VARYING.reduce(
    (result, [pattern, replacement]) => result.replaceAll(pattern, replacement),
    lines.join('\n'),
  )
}

/** What of the process itself could show that somebody else is in it. */
function surroundings(): Readonly<Record<string, unknown>> {
  const inside = process as unknown as {
    moduleLoadList: readonly string[]
    _getActiveHandles(): readonly object[]
    _getActiveRequests(): readonly object[]
  }
  return {
    modules: [...inside.moduleLoadList].sort(),
    globals: Object.getOwnPropertyNames(globalThis).sort(),
    handles: inside
      ._getActiveHandles()
      .map(({ constructor }) => constructor.name)
      .sort(),
    requests: inside._getActiveRequests().length,
    resources: process.getActiveResourcesInfo().sort(),
    listeners: listenersOf(process),
    stackTraceLimit: Error.stackTraceLimit,
    prepareStackTrace: typeof Error.prepareStackTrace,
  }
}
