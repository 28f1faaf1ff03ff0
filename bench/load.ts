/** The client: asks fixed questions over a fixed number of connections, as fast as they are answered. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Workload } from './workloads.js'

const CONNECTIONS = 32

export interface Load {
  /** Resolves when so many more exchanges are done. */
  run(exchanges: number): Promise<void>
  close(): void
}

export function openLoad(workload: Workload, port: number, connections = CONNECTIONS): Promise<Load> {
  return workload.connection === 'kept'
    ? openKept(workload, port, connections)
    : Promise.resolve(openOneShot(workload, port, connections))
}

/** Opens so many connections, shakes hands, and leaves them idle. */
export async function openConnections(
  port: number,
  handshake: string | null,
  count: number,
): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(CONNECTIONS, count - sockets.length) }, () => open(port))
    await Promise.all(batch.map((socket) => shakeHands(socket, handshake)))
    sockets.push(...batch)
  }
  return sockets
}

function open(port: number): Socket {
  return connect({ port, host: '127.0.0.1', noDelay: true })
}

async function shakeHands(socket: Socket, handshake: string | null): Promise<void> {
  await once(socket, 'connect')
  if (handshake === null) return
  socket.write(handshake)
  let answer = ''
  while (!answer.endsWith('\r\n\r\n') && !answer.endsWith('!')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    answer += chunk.toString('latin1')
  }
}

async function openKept(workload: Workload, port: number, connections: number): Promise<Load> {
  const question = Buffer.from(workload.question, 'latin1')
  const sockets = await openConnections(port, workload.handshake, connections)
  const course = new Course()

  function ask(socket: Socket): void {
    if (course.take()) socket.write(question)
  }

  function onData(this: Socket, chunk: Buffer): void {
    if (!endsAnswer(chunk)) return
    course.finishOne()
    ask(this)
  }

  for (const socket of sockets) {
    socket.on('data', onData)
    socket.on('error', course.fail)
    socket.on('close', () => {
      course.fail(new Error('the server closed a connection that was to be kept'))
    })
  }
  return {
    run(exchanges) {
      const done = course.begin(exchanges)
      for (const socket of sockets) ask(socket)
      return done
    },
    close() {
      for (const socket of sockets) socket.removeAllListeners('close').destroy()
    },
  }
}

function openOneShot(workload: Workload, port: number, connections: number): Load {
  const question = Buffer.from(workload.question, 'latin1')
  const course = new Course()

  function ask(): void {
    if (!course.take()) return
    const socket = open(port)
    socket.write(question)
    socket.on('data', onData)
    socket.on('error', course.fail)
    socket.on('close', onClose)
  }

  function onData(this: Socket, chunk: Buffer): void {
    if (workload.connection === 'closed-by-client' && endsAnswer(chunk)) this.end()
  }

  function onClose(): void {
    course.finishOne()
    ask()
  }

  return {
    run(exchanges) {
      const done = course.begin(exchanges)
      for (let i = 0; i < connections; i += 1) ask()
      return done
    },
    close() {},
  }
}

function endsAnswer(chunk: Buffer): boolean {
  return chunk[chunk.length - 1] === 0x21
}

/** Counts one burst of exchanges down: how many may still begin, how many must still end. */
class Course {
  #toBegin = 0
  #toEnd = 0
  #resolve: () => void = ignore
  #reject: (error: Error) => void = ignore

  begin(exchanges: number): Promise<void> {
    this.#toBegin = exchanges
    this.#toEnd = exchanges
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  take(): boolean {
    if (this.#toBegin === 0) return false
    this.#toBegin -= 1
    return true
  }

  finishOne(): void {
    this.#toEnd -= 1
    if (this.#toEnd === 0) this.#resolve()
  }

  readonly fail = (error: Error): void => {
    this.#reject(error)
  }
}

function ignore(): void {}
