/** A driver as they all are: one connection, queries wait their turn, and a result that is too long stops the reading. */
import net from 'node:net'

interface Query {
  readonly sql: string
  readonly resolve: (rows: string) => void
}

export class Database {
  readonly #port: number
  readonly #waiting: Query[] = []
  #socket: net.Socket | null = null
  #running: Query | null = null

  constructor(port: number) {
    this.#port = port
  }

  query(sql: string): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting.push({ sql, resolve })
      this.#next() // leaks: database-connection
    })
  }

  #next(): void {
    if (this.#running !== null) return
    this.#running = this.#waiting.shift() ?? null
    if (this.#running !== null) this.#connection().write(`${this.#running.sql};`) // leaks: database-connection
  }

  #connection(): net.Socket {
    if (this.#socket !== null) return this.#socket
    this.#socket = net.connect(this.#port, '127.0.0.1') // leaks: database-connection
    this.#socket.on('data', (rows: Buffer) => {
      // leaks: database-connection
      if (rows.length > 1000) {
        this.#socket?.pause() // leaks: database-connection
        return
      }
      this.#running?.resolve(rows.toString())
      this.#running = null
      this.#next() // leaks: database-connection
    })
    return this.#socket
  }
}
