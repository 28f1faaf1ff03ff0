// Chooses the sockets whose stacks are recorded. `always`: each one. `sampled`: one in 64, and each later one of a site
// that has leaked (outgoing: host and port; accepted: listening port).
import { hostNameOf, readAddresses, serverOf } from '../../socket/fields.js'
import type { SocketRecord } from '../../socket/record.js'
import type { StacksChoice } from '../../options/options.js'

const ONE_IN = 64
const MOST_SITES = 1000

export class Sample {
  readonly #isEverything: boolean
  readonly #leaking = new Set<string>()
  #seen = 0

  constructor(choice: Exclude<StacksChoice, 'off'>) {
    this.#isEverything = choice === 'always'
  }

  takes(record: SocketRecord): boolean {
    if (this.#isEverything || this.#seen++ % ONE_IN === 0) return true
    if (record.direction !== 'inbound' || this.#leaking.size === 0) return false
    const address = serverOf(record.socket)?.address()
    return typeof address === 'object' && address !== null && this.#leaking.has(`:${address.port}`)
  }

  takesTarget(args: ArrayLike<unknown>): boolean {
    return this.#leaking.size > 0 && this.#leaking.has(targetOf(args))
  }

  takesRequest(): boolean {
    return this.#isEverything || this.#leaking.size > 0 || this.#seen % ONE_IN === 0
  }

  onLeaked(record: SocketRecord): void {
    if (this.#isEverything || this.#leaking.size >= MOST_SITES) return
    const { local, remote } = record.addresses ?? readAddresses(record.socket)
    if (record.direction === 'inbound') {
      if (local !== null) this.#leaking.add(`:${local.port}`)
      return
    }
    if (remote === null) return
    this.#leaking.add(`${remote.address}:${remote.port}`)
    const name = hostNameOf(record.socket)
    if (name !== null) this.#leaking.add(`${name}:${remote.port}`)
  }
}

function targetOf(args: ArrayLike<unknown>): string {
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : Array.from(args)
  const { host, port } =
    typeof first === 'object' && first !== null
      ? (first as { host?: unknown; port?: unknown })
      : { host: second, port: first }
  return `${typeof host === 'string' ? host : 'localhost'}:${String(port)}`
}
