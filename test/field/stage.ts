/** Where the leaks happen: every application in this process, whoever talks to them in another. */
import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { WebSocketServer } from 'ws'
import { installedGuard } from '../../src/index.js'
import { CERTIFICATE } from '../support/certificate.js'
import { Peer, type PeerConnection } from '../support/peer.js'
import { until } from '../support/until.js'
import { startDashboard } from './apps/dashboard.js'
import { startLegacy } from './apps/express4-legacy.js'
import { startGateway } from './apps/express-gateway.js'
import { startSecureUploads, startUploads } from './apps/express-uploads.js'
import { startFastify, startKoa, type Preparations } from './apps/other-frameworks.js'
import * as plain from './apps/plain-servers.js'
import { startPooled } from './apps/pooled-app.js'
import { startRealtime } from './apps/realtime.js'
import { startForwarder, startForwardProxy } from './apps/tunnels.js'
import { startRooms } from './apps/websockets.js'
import type { Suspect } from './scenarios.js'

export interface SendOptions {
  readonly tls?: boolean
  /** Reads nothing. */
  readonly paused?: boolean
}

/** The service that an application talks to; it does what a scenario tells it. */
export interface Upstream {
  readonly port: number
  readonly connection: PeerConnection
}

/** One service for each leak, so that its port tells whose it is. */
const SERVICES = [
  'orders',
  'files',
  'pages',
  'events',
  'cart',
  'shop',
  'weather',
  'avatars',
  'billing',
  'mail',
  'secure',
  'database',
  'queuedDatabase',
  'agent',
  'fetch',
  'forward',
  'forwardBack',
  'connect',
  'connectBack',
  'quotes',
  'items',
  'books',
] as const
type ServiceName = (typeof SERVICES)[number]

async function startApps(ports: Readonly<Record<ServiceName, number>>, preparations: Preparations) {
  const { rooms, metrics, server: roomServer } = startRooms()
  const apps = {
    gateway: startGateway(ports),
    legacy: startLegacy(ports),
    uploads: startUploads(),
    secureUploads: startSecureUploads(CERTIFICATE),
    dashboard: startDashboard(ports),
    pooled: startPooled(ports),
    queued: startPooled({ ...ports, database: ports.queuedDatabase }),
    realtime: startRealtime(),
    rooms: roomServer,
    forwardProxy: startForwardProxy(ports.connect),
    forwardProxyBack: startForwardProxy(ports.connectBack),
    fastify: await startFastify(ports.items, preparations),
    koa: startKoa(ports.books, preparations),
    forwarder: startForwarder(ports.forward),
    forwarderBack: startForwarder(ports.forwardBack),
    greeter: plain.startGreeter(),
    daytime: plain.startDaytime(),
    devices: plain.startDevices(),
    prices: plain.startPrices(),
    secureGreeter: plain.startSecureGreeter(CERTIFICATE),
  } satisfies Record<string, Server>
  for (const server of Object.values(apps)) if (!server.listening) await once(server, 'listening')
  return { apps, webSocketServers: [rooms, metrics] satisfies WebSocketServer[] }
}

export type Stage = Awaited<ReturnType<typeof openStage>>
export type AppName = keyof Awaited<ReturnType<typeof startApps>>['apps']

export async function openStage(preparations: Preparations = {}) {
  const peer = new Peer()
  /** By both ports: a client may use one port towards two servers. */
  const accepted = new Map<string, Socket>()
  const serverPorts = new Map<PeerConnection, number>()

  async function listen(tls = false): Promise<Upstream> {
    const connection = peer.open().do({ do: 'listen', tls })
    const { port } = await connection.saw('listening')
    return { port: port!, connection }
  }

  const upstreams = {} as Record<ServiceName, Upstream>
  const ports = {} as Record<ServiceName, number>
  for (const name of SERVICES) {
    upstreams[name] = await listen(name === 'secure')
    ports[name] = upstreams[name].port
  }
  const { apps, webSocketServers } = await startApps(ports, preparations)

  for (const server of Object.values<Server>(apps)) {
    server.on('connection', (socket: Socket) =>
      accepted.set(`${socket.localPort}:${socket.remotePort}`, socket),
    )
  }
  return {
    peer,
    apps,
    upstreams,
    webSocketServers,
    /** A client that says this as soon as it is connected. */
    async send(app: AppName, text: string, options: SendOptions = {}): Promise<PeerConnection> {
      const { port } = apps[app].address() as AddressInfo
      const client = await peer.connect({ port, ...options })
      serverPorts.set(client, port)
      return client.do({ do: 'write', text })
    },
    /** The socket of the application at the other end; its ports are gone once the connection is dead. */
    async servedBy(client: PeerConnection): Promise<Suspect> {
      const { port } = await client.saw('connected')
      let id: number | undefined
      await until(() => {
        const socket = accepted.get(`${serverPorts.get(client)}:${port}`)
        id = socket === undefined ? undefined : installedGuard()!.adapter.describe(socket)?.id
        return id !== undefined
      }, 'it was accepted')
      return { id: id! }
    },
  }
}

/** Those that the adapters for http and Express guard; the others are for the adapter for net. */
export function isHttp(server: Server): server is HttpServer {
  return 'requestTimeout' in server
}
