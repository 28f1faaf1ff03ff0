/**
 * Network namespaces of a test's own (network_namespaces(7)): traffic, settings and port ranges in them are nobody
 * else's. As root they are made directly, otherwise inside a user namespace (user_namespaces(7)).
 *
 * A namespace has no name and is held by nothing but its processes, and all of these end with the test: the holder at
 * the end of its standard input, the programs at the end of their IPC channel. Nothing is left to clean up, even after
 * SIGKILL.
 */
import { execFileSync, fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Actor, type Actions } from './actor.js'

type Command = readonly [string, ...string[]]

const AS_ROOT: Command = ['unshare', '--net']
const AS_ANYBODY: Command = ['unshare', '--map-root-user', '--net']

export class NetworkNamespace {
  readonly #holder: ChildProcess
  readonly #enter: Command
  readonly #actors: Actor<Actions>[] = []

  private constructor(holder: ChildProcess, enter: Command) {
    this.#holder = holder
    this.#enter = enter
  }

  /** A new namespace, its loopback up; gone when the test ends. With `beside`, both can be joined by a veth pair. */
  static async open(t: Pick<Test, 'teardown'>, beside?: NetworkNamespace): Promise<NetworkNamespace> {
    const way = wayIn()
    const [command, ...args] = beside === undefined ? way : [...beside.#enter, ...AS_ROOT]
    const holder = spawn(command, [...args, 'sh', '-c', 'ip link set lo up && echo ready && exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const inUserNamespace = way === AS_ANYBODY ? ['--user', '--preserve-credentials'] : []
    const target = ['--target', String(holder.pid), '--net']
    const namespace = new NetworkNamespace(holder, ['nsenter', ...inUserNamespace, ...target])
    t.teardown(() => namespace.#close())
    const [first] = (await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')])) as unknown[]
    if (String(first) !== 'ready\n') throw new Error(`no network namespace: the holder said ${String(first)}`)
    return namespace
  }

  get pid(): number {
    return this.#holder.pid!
  }

  /** Runs a shell script inside and returns what it prints; throws when a command of it fails. */
  run(script: string): string {
    const [command, ...args] = this.#enter
    return execFileSync(command, [...args, 'sh', '-ec', script], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  }

  /** Sets `net.ipv4.*` (kernel Documentation/networking/ip-sysctl.rst) for this namespace alone. */
  tune(settings: Readonly<Record<string, number | string>>): void {
    this.run(
      Object.entries(settings)
        .map(([name, value]) => `echo ${value} > /proc/sys/net/ipv4/${name}`)
        .join('\n'),
    )
  }

  /** Starts a program of this folder inside. */
  start<A extends Actions>(program: string): Actor<A> {
    const actor = new Actor<A>(this.fork(join(import.meta.dirname, program)))
    this.#actors.push(actor)
    return actor
  }

  /** Starts a program that ends by itself when its IPC channel does. */
  fork(file: string, args: readonly string[] = []): ChildProcess {
    const [execPath, ...execArgv] = this.#enter
    return fork(file, args, { execPath, execArgv: [...execArgv, process.execPath] })
  }

  async #close(): Promise<void> {
    await Promise.all(this.#actors.map((actor) => actor.kill()))
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return
    this.#holder.stdin!.destroy()
    await once(this.#holder, 'exit')
  }
}

let way: Command | undefined

function wayIn(): Command {
  return (way ??= findWay())
}

/** @throws what each way failed with: a test that can't have its namespace must not look as if it had passed */
function findWay(): Command {
  const failures: string[] = []
  for (const candidate of [AS_ROOT, AS_ANYBODY]) {
    const [command, ...args] = candidate
    try {
      execFileSync(command, [...args, 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'pipe' })
      return candidate
    } catch (error) {
      failures.push(error instanceof Error ? error.message.trim() : String(error))
    }
  }
  throw new Error(
    'this test needs a network namespace (root or unprivileged user namespaces, util-linux, iproute2), and none can ' +
      `be made here; to do without the test on purpose, set WITHOUT_NETWORK_NAMESPACES=1\n${failures.join('\n')}`,
  )
}

/** Why these tests do not run at all, or `false`: never merely because a namespace could not be made. */
export const skippedBecause: string | false =
  process.platform !== 'linux'
    ? `network namespaces are Linux's own, this is ${process.platform}`
    : process.env.WITHOUT_NETWORK_NAMESPACES === '1'
      ? 'WITHOUT_NETWORK_NAMESPACES=1'
      : false
