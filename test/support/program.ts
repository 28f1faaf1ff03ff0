/** A program of the examples in a process of its own, watched while it runs. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PACKAGE_ROOT } from './package-root.js'
import { cleanEnvironment, type Outcome } from './run-node.js'

const MARK = 'EXAMPLE_RUN'

export class Program {
  readonly child: ChildProcess
  readonly ended: Promise<Outcome>
  readonly #mark = randomUUID()
  #stdout = ''
  #stderr = ''
  #wake: (() => void)[] = []

  /**
   * @param name of the compiled file below build/examples, without its extension
   * @param launcher what runs the command that is appended to it
   */
  constructor(name: string, args: readonly string[] = [], launcher: readonly string[] = []) {
    const file = join(PACKAGE_ROOT, 'build', 'examples', `${name}.js`)
    const [command = '', ...rest] = [...launcher, process.execPath, file, ...args]
    const child = spawn(command, rest, {
      env: { ...cleanEnvironment(), [MARK]: this.#mark },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child = child
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      this.#tell()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr })
        this.#tell()
      })
    })
  }

  #tell(): void {
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }

  /** Waits until the program has printed this. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#stdout)
      if (found !== null) return found
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`ended without printing ${String(pattern)}:\n${this.#stdout}${this.#stderr}`)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** The processes that it started, directly or not, and that are still there; itself while it runs. */
  processes(): number[] {
    const mark = `${MARK}=${this.#mark}`
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && readEnvironment(name).split('\0').includes(mark))
      .map(Number)
  }

  /** For the end of a test that went wrong. */
  kill(): void {
    for (const pid of this.processes()) process.kill(pid, 'SIGKILL')
  }
}

function readEnvironment(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    // It has ended, or belongs to somebody else.
    return ''
  }
}
