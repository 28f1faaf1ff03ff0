/** The kind of SDK that one gets with an account. */
import http from 'node:http'

export class BillingClient {
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  async login(): Promise<this> {
    await Promise.resolve()
    return this
  }

  invoice(id: string): Promise<number> {
    return this.request(`/v1/invoices/${id}`).then((response) => response.statusCode ?? 0) // leaks: billing-invoice
  }

  private request(path: string): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: this.#port, path, agent: this.#agent }
      http.get(options, resolve).on('error', reject) // leaks: billing-invoice
    })
  }
}
