/** Runs a program of the documentation in a process of its own, with the guard preloaded, and hears what it does. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { GuardEvent, Report } from '../../src/index.js'
import { PACKAGE_ROOT, REGISTER } from './package-root.js'

export type ProgramMessage =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'opened'; readonly id: number }
  | { readonly type: 'closed'; readonly id: number }
  | { readonly type: 'verdict'; readonly event: GuardEvent }
  | { readonly type: 'report'; readonly report: Report }

type MessageOf<T extends ProgramMessage['type']> = Extract<ProgramMessage, { readonly type: T }>

const REPORTER = join(PACKAGE_ROOT, 'build', 'test', 'support', 'leak-reporter.js')

export class LeakProgram {
  readonly heard: ProgramMessage[] = []
  readonly #child: ChildProcess
  #wake: (() => void)[] = []
  #isOver = false

  /** @param env of the guard, without the prefix */
  constructor(file: string, env: Readonly<Record<string, string>>) {
    const guardEnv = Object.entries(env).map(([name, value]) => [`SOCKET_LEAK_GUARD_${name}`, value])
    const args = [REGISTER, REPORTER].flatMap((path) => ['--import', pathToFileURL(path).href])
    this.#child = spawn(process.execPath, [...args, file], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { PATH: process.env['PATH'], ...Object.fromEntries(guardEnv) },
    })
    this.#child.on('message', (message: ProgramMessage) => this.#hear(message))
    this.#child.on('exit', () => {
      this.#isOver = true
      this.#wakeAll()
    })
  }

  /** The first such message, also if it has come already. Rejects when the program ends without it. */
  async saw<T extends ProgramMessage['type']>(
    type: T,
    matches: (message: MessageOf<T>) => boolean = () => true,
  ): Promise<MessageOf<T>> {
    for (;;) {
      const found = this.heard.find(
        (message): message is MessageOf<T> => message.type === type && matches(message as MessageOf<T>),
      )
      if (found !== undefined) return found
      if (this.#isOver) throw new Error(`the program ended without "${type}"`)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  async sawVerdict(verdict: GuardEvent['type']): Promise<GuardEvent> {
    return (await this.saw('verdict', ({ event }) => event.type === verdict)).event
  }

  async report(): Promise<Report> {
    this.#child.send('report')
    return (await this.saw('report')).report
  }

  async kill(): Promise<void> {
    if (this.#isOver) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  #hear(message: ProgramMessage): void {
    this.heard.push(message)
    this.#wakeAll()
  }

  #wakeAll(): void {
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }
}
