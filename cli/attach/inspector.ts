/** Talks to the inspector of another process. Node 20 has no WebSocket, and of the protocol little is needed. */
import { randomBytes } from 'node:crypto'
import { get, request, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import { clearTimeout, setTimeout } from 'node:timers'
import { Failure } from '../command.js'
import type { Address } from '../proc/tables.js'

const TEXT = 0x81
const CLOSE = 0x88
const PATIENCE_MS = 10_000

interface Answer {
  readonly id?: number
  readonly method?: string
  readonly error?: { readonly message: string }
  readonly result?: {
    readonly result: { readonly value?: unknown }
    readonly exceptionDetails?: {
      readonly text: string
      readonly exception?: { readonly description?: string }
    }
  }
}

interface Waiting {
  resolve(answer: Answer): void
  reject(error: Error): void
}

/** `null` if there is no inspector of Node at this address. */
export async function findInspector({ address, port }: Address): Promise<string | null> {
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = get({ host: address, port, path: '/json/list', timeout: 2000, agent: false }, resolve)
      asked.once('timeout', () => asked.destroy(new Error('no answer')))
      asked.once('error', reject)
    })
    const [target] = (await json(response)) as { type?: string; webSocketDebuggerUrl?: string }[]
    return target?.type === 'node' ? (target.webSocketDebuggerUrl ?? null) : null
  } catch {
    return null
  }
}

export class Inspector {
  readonly #socket: Socket
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #received = Buffer.alloc(0)
  readonly #ended = new AbortController()

  static async connect(url: string): Promise<Inspector> {
    const { hostname, port, pathname } = new URL(url)
    const socket = await new Promise<Socket>((resolve, reject) => {
      const upgrade = request({
        host: hostname,
        port,
        path: pathname,
        agent: false,
        headers: {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': randomBytes(16).toString('base64'),
        },
      })
      upgrade.once('upgrade', (_response, socket: Socket, head: Buffer) => {
        socket.unshift(head)
        resolve(socket)
      })
      upgrade.once('response', ({ statusCode }) => reject(new Failure(`the inspector answers ${statusCode}`)))
      upgrade.once('error', (error) => reject(new Failure(`the inspector at ${url}: ${error.message}`)))
      upgrade.end()
    })
    const inspector = new Inspector(socket)
    // Else a process that ends would wait for us.
    await inspector.#ask('NodeRuntime.notifyWhenWaitingForDisconnect', { enabled: true })
    return inspector
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#hear(chunk))
    socket.once('error', (error) => this.#over(error.message))
    socket.once('close', () => this.#over('the process has ended, or closed its inspector'))
  }

  /**
   * Calls a function in the other process, between two turns of its event loop. It may refer to nothing outside of itself.
   * What it returns, and its argument, must be JSON.
   */
  async call<A, R>(code: (argument: A) => R, argument: A, patienceMs = PATIENCE_MS): Promise<Awaited<R>> {
    // The inspector may interrupt a function anywhere.
    const expression = `new Promise((resolve, reject) => process.getBuiltinModule('node:timers').setImmediate(() => {
      try { resolve((${String(code)})(${JSON.stringify(argument)})) } catch (error) { reject(error) }
    })).then((value) => JSON.stringify(value))`
    return JSON.parse(await this.#evaluate(expression, patienceMs)) as Awaited<R>
  }

  /** Right now, wherever the process is. */
  async value(expression: string): Promise<string> {
    return this.#evaluate(`JSON.stringify(${expression})`, PATIENCE_MS)
  }

  /** Aborted with a `Failure` when the connection is over. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  close(): void {
    if (!this.ended.aborted) this.#send(CLOSE, Buffer.alloc(0))
    this.#over('closed')
    this.#socket.end()
  }

  async #evaluate(expression: string, patienceMs: number): Promise<string> {
    const { result } = await this.#ask(
      'Runtime.evaluate',
      { expression, awaitPromise: true, returnByValue: true, includeCommandLineAPI: true },
      patienceMs,
    )
    const thrown = result?.exceptionDetails
    if (thrown !== undefined)
      throw new Failure(`in the process: ${thrown.exception?.description ?? thrown.text}`)
    return String(result?.result.value ?? 'null')
  }

  #ask(method: string, params: object, patienceMs = PATIENCE_MS): Promise<Answer> {
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      if (this.ended.aborted) {
        reject(this.ended.reason as Failure)
        return
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(
          new Failure(
            `no answer within ${patienceMs / 1000} s: is its event loop blocked, or the process stopped?`,
          ),
        )
      }, patienceMs)
      this.#waiting.set(id, {
        resolve(answer) {
          clearTimeout(timer)
          if (answer.error === undefined) resolve(answer)
          else reject(new Failure(`${method}: ${answer.error.message}`))
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        },
      })
      this.#send(TEXT, Buffer.from(JSON.stringify({ id, method, params })))
    })
  }

  /** RFC 6455, section 5.2. Masked with zeros: a random key is to protect proxies, and there is none. */
  #send(kind: number, payload: Buffer): void {
    const { length } = payload
    const head = Buffer.alloc(length < 126 ? 6 : length < 65_536 ? 8 : 14)
    head[0] = kind
    if (length < 126) head[1] = 0x80 | length
    else if (length < 65_536) {
      head[1] = 0x80 | 126
      head.writeUInt16BE(length, 2)
    } else {
      head[1] = 0x80 | 127
      head.writeBigUInt64BE(BigInt(length), 2)
    }
    this.#socket.write(Buffer.concat([head, payload]))
  }

  /** The inspector of Node sends each message as one frame (src/inspector_socket.cc `encode_frame_hybi17`). */
  #hear(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    for (;;) {
      const frame = frameIn(this.#received)
      if (frame === null) return
      this.#received = this.#received.subarray(frame.end)
      if (frame.kind === CLOSE) this.#over('the process closed its inspector')
      if (frame.kind === TEXT) this.#answer(JSON.parse(frame.payload.toString()) as Answer)
    }
  }

  #answer(answer: Answer): void {
    if (answer.method === 'NodeRuntime.waitingForDisconnect') {
      this.#over('the process has ended')
      this.#socket.destroy()
    }
    const waiting = this.#waiting.get(answer.id ?? 0)
    this.#waiting.delete(answer.id ?? 0)
    waiting?.resolve(answer)
  }

  #over(reason: string): void {
    this.#ended.abort(new Failure(reason))
    for (const waiting of this.#waiting.values()) waiting.reject(new Failure(reason))
    this.#waiting.clear()
  }
}

function frameIn(bytes: Buffer): { kind: number; payload: Buffer; end: number } | null {
  if (bytes.length < 2) return null
  const short = bytes[1]! & 0x7f
  const start = short === 126 ? 4 : short === 127 ? 10 : 2
  if (bytes.length < start) return null
  const length =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  const end = start + length
  return bytes.length < end ? null : { kind: bytes[0]!, payload: bytes.subarray(start, end), end }
}
