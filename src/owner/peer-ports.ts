// Passive FTP and the like use a port per transfer: a host with more than three in trouble is one site, `10.0.0.5:*`.
import type { Endpoint } from '../core/report.js'
import { formatEndpoint } from '../core/endpoint.js'

const FIRST_SHORT_LIVED = 32_768
const MOST_PORTS = 3
const MOST_HOSTS = 1000

export class PeerPorts {
  readonly #ports = new Map<string, Set<number>>()
  /** One string for all sockets of a listener, which is quick to compare. */
  readonly #listeners = new Map<number, string>()

  note({ address, port }: Endpoint): void {
    if (port === null || port < FIRST_SHORT_LIVED) return
    const ports = this.#ports.get(address) ?? new Set()
    if (ports.size <= MOST_PORTS) ports.add(port)
    if (ports.size > MOST_PORTS) this.#listeners.clear()
    this.#ports.set(address, ports)
    if (this.#ports.size > MOST_HOSTS) this.#ports.delete(this.#ports.keys().next().value!)
  }

  name(place: Endpoint): string {
    const name = formatEndpoint(place)
    const isOneOfMany = place.port !== null && place.port >= FIRST_SHORT_LIVED && this.#hasMany(place.address)
    return isOneOfMany ? name.replace(/\d+$/, '*') : name
  }

  listener(port: number): string {
    let name = this.#listeners.get(port)
    if (name === undefined) {
      name = `listener ${this.name({ address: '', port })}`
      this.#listeners.set(port, name)
    }
    return name
  }

  #hasMany(address: string): boolean {
    return (this.#ports.get(address)?.size ?? 0) > MOST_PORTS
  }
}
