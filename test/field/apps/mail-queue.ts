/** A worker that runs beside the requests, for as long as the process. */
export class MailQueue {
  readonly #jobs: string[] = []
  readonly #sent: Response[] = []
  readonly #port: number
  #wake = (): void => {}

  constructor(port: number) {
    this.#port = port
  }

  add(job: string): void {
    this.#jobs.push(job)
    this.#wake()
  }

  async work(): Promise<never> {
    for (;;) {
      const job = this.#jobs.shift()
      if (job === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
      else await this.send(job) // leaks: queue-mail
    }
  }

  private async send(template: string): Promise<void> {
    const url = `http://127.0.0.1:${this.#port}/send/${template}`
    this.#sent.push(await fetch(url, { method: 'POST', body: template })) // leaks: queue-mail
  }
}
