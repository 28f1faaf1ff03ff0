/** Responses that never end by themselves (event streams of a mounted report): whoever stops a server must end them. */
interface EndlessStreams {
  close(): void
}

const open = new Set<EndlessStreams>()

export function rememberEndlessStreams(streams: EndlessStreams): void {
  open.add(streams)
}

export function forgetEndlessStreams(streams: EndlessStreams): void {
  open.delete(streams)
}

/** Ends them all; a client that still can comes back by itself. */
export function closeEndlessStreams(): void {
  for (const streams of open) streams.close()
}
