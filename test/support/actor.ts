/**
 * A test's program in a process of its own, in whatever namespace it was started: `obey()` is its side, `Actor` the
 * test's. The channel is Node's own IPC, so each side notices when the other is gone.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** What a program can be asked for. Arguments and results travel as JSON. */
export type Actions = Record<string, (...args: never[]) => unknown>

interface Question {
  readonly id: number
  readonly action: string
  readonly args: never[]
}

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** The program's side: does what it is asked and dies with the test, whatever a thread or a socket of it still waits for. */
export function obey(actions: Actions): void {
  async function answer({ id, action, args }: Question): Promise<Answer> {
    try {
      return { id, result: await actions[action]!(...args) }
    } catch (error) {
      return { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }

  process.on('message', (question: Question) => {
    void answer(question).then((answer) => process.send?.(answer))
  })
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
}

interface Waiting {
  resolve(result: never): void
  reject(error: Error): void
}

export class Actor<A extends Actions> {
  readonly child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #next = 1

  constructor(child: ChildProcess) {
    this.child = child
    child.on('message', (answer: Answer) => this.#hear(answer))
    child.on('error', (error) => this.#lose(error))
    child.on('exit', (code, signal) => this.#lose(new Error(`the program died: ${code ?? signal}`)))
  }

  ask<K extends keyof A & string>(action: K, ...args: Parameters<A[K]>): Promise<Awaited<ReturnType<A[K]>>> {
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.child.send({ id, action, args }, (error) => {
        if (error !== null) this.#lose(error)
      })
    })
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    if (this.child.kill('SIGKILL')) await once(this.child, 'exit')
  }

  #hear({ id, result, error }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result as never)
    else waiting?.reject(new Error(error))
  }

  #lose(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
