// Hears verdict changes from the endpoint. It reads the stream by fetch(), because an EventSource can carry no token and hides
// the heartbeat, without which a lost connection looks like a quiet process.

/** Two heartbeats, and some. */
const LONGEST_SILENCE_MS = 35_000
const RETRY_MS = 3000

export interface FeedHooks {
  request(path: string, options: RequestInit): Promise<Response>
  onEvent(): void
  /** The stream is open, or `false`: it broke. */
  onConnected(isConnected: boolean): void
}

export interface Feed {
  start(): void
  stop(): void
}

export function createFeed({ request, onEvent, onConnected }: FeedHooks): Feed {
  let current: AbortController | null = null
  let retry = 0

  async function listen(abort: AbortController): Promise<void> {
    let watch = 0
    const expectMore = () => {
      clearTimeout(watch)
      watch = setTimeout(() => abort.abort(), LONGEST_SILENCE_MS)
    }
    try {
      expectMore()
      const response = await request('events', { signal: abort.signal })
      if (response.ok && response.body !== null) {
        onConnected(true)
        for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
          const { done, value } = await reader.read()
          if (done) break
          expectMore()
          if (value.includes('event: ')) onEvent()
        }
      }
    } catch {
      // Told below.
    }
    clearTimeout(watch)
    if (current !== abort) return
    onConnected(false)
    retry = setTimeout(start, RETRY_MS)
  }

  function start(): void {
    stop()
    current = new AbortController()
    void listen(current)
  }

  function stop(): void {
    clearTimeout(retry)
    const stopped = current
    current = null
    stopped?.abort()
  }

  return { start, stop }
}
