import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo, ListenOptions, Server, Socket } from 'node:net'
import { SocketLeakGuardError } from '../base/errors.js'
import { type ReportAddress, formatReportAddress, isWindowsPipe } from './address.js'
import { markOwn } from '../base/process-wide.js'
import type { ReportSockets } from './report-sockets.js'
import { type SocketFile, isStaleSocketFile, keepSocketFile, removeSocketFile } from './socket-file.js'

export interface ReportEndpoint {
  // Rejects with `SLG_ERR_REPORT_LISTEN`, without causing an unhandled rejection.
  readonly ready: Promise<{ readonly url: string }>
  close(): Promise<void>
}

export interface EndpointHandler {
  (request: IncomingMessage, response: ServerResponse): void
  close?(): void
}

const MAX_CONNECTIONS = 64

/** Two heartbeats of the event stream fit in, so only a stuck connection reaches it. */
const INACTIVITY_MS = 40_000

/** Spans two scrapes, because a new connection can't be accepted without free descriptors. */
const KEEP_ALIVE_MS = 120_000

export function listenForReports(
  address: ReportAddress,
  handler: EndpointHandler,
  sockets: ReportSockets,
): ReportEndpoint {
  const server = createServer(
    {
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      connectionsCheckingInterval: 2_000,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: 16 * 1024,
      insecureHTTPParser: false,
    },
    handler,
  )
  sockets.servers.add(server)
  markOwn(server)
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = INACTIVITY_MS
  // Before the HTTP server's own listener starts to use the socket.
  server.prependListener('connection', function adoptConnection(socket: Socket) {
    sockets.add(socket)
    socket.unref()
  })
  // A failed accept(2) (EMFILE) must not end the application.
  server.on('error', ignoreServerError)
  server.unref()

  let socketFile: SocketFile | null = null
  async function start(): Promise<{ url: string }> {
    try {
      socketFile = await listen(server, address, sockets)
    } catch (error) {
      server.close()
      throw listenError(address, error)
    }
    return { url: urlOf(server, address) }
  }
  const ready = start()
  ready.catch(ignoreServerError)

  async function stop(): Promise<void> {
    // A server whose name is being resolved would listen after close() (lib/net.js lookupAndListen()).
    await ready.catch(ignoreServerError)
    handler.close?.()
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
    sockets.servers.delete(server)
    if (socketFile !== null) removeSocketFile(socketFile)
  }
  let stopped: Promise<void> | null = null
  return { ready, close: () => (stopped ??= stop()) }
}

async function listen(
  server: Server,
  address: ReportAddress,
  sockets: ReportSockets,
): Promise<SocketFile | null> {
  // `exclusive`: otherwise a cluster's primary would listen and spread requests over all workers.
  if (address.kind === 'tcp' || isWindowsPipe(address.path)) {
    if (isNetForbidden()) throw new Error('--permission needs --allow-net for that')
    await listening(server, { ...address, exclusive: true })
    return null
  }
  const { path } = address
  try {
    return await listenOnFile(server, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isStaleSocketFile(path, sockets)))
      throw error
    return listenOnFile(server, path)
  }
}

// There Node throws in a later tick, where nobody can catch it (lib/net.js `createServerHandle`, Node 26).
function isNetForbidden(): boolean {
  return (
    process.allowedNodeEnvironmentFlags.has('--allow-net') &&
    (process as { permission?: { has(scope: string): boolean } }).permission?.has('net') === false
  )
}

async function listenOnFile(server: Server, path: string): Promise<SocketFile | null> {
  const started = listening(server, { path, exclusive: true })
  // A path is bound within listen(), so its mode is set in the same turn.
  const file = server.listening ? keepSocketFile(path) : null
  await started
  return file
}

async function listening(server: Server, options: ListenOptions): Promise<void> {
  const listens = once(server, 'listening')
  server.listen(options)
  await listens
}

function urlOf(server: Server, address: ReportAddress): string {
  if (address.kind === 'unix') return formatReportAddress(address)
  const { port } = server.address() as AddressInfo
  return `http://${formatReportAddress({ ...address, port })}/`
}

function listenError(address: ReportAddress, cause: unknown): SocketLeakGuardError {
  const { code, message } = cause as NodeJS.ErrnoException
  return new SocketLeakGuardError(
    'SLG_ERR_REPORT_LISTEN',
    `report can't listen on "${formatReportAddress(address)}": ${code ?? message}`,
    { cause },
  )
}

function ignoreServerError(): void {}
