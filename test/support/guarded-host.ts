/** The host with the guard, whose peers will vanish. Started by `NetworkNamespace.start()`; dies of any error that nobody hears. */
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import tls from 'node:tls'
import { install, type Guard, type GuardEvent, type InstallOptions } from '../../src/index.js'
import { obey } from './actor.js'
import { CERTIFICATE } from './certificate.js'
import { play, type Kind, type SceneName } from './vanishing.js'

export interface Fate {
  readonly kind: Kind
  readonly scene: SceneName
  readonly isClosed: boolean
  /** What stands in the report now. */
  readonly verdict: string | null
  readonly condition: string | null
  readonly peer: string | null
  readonly events: readonly GuardEvent['type'][]
}

interface Played {
  readonly kind: Kind
  readonly scene: SceneName
  readonly socket: net.Socket
  readonly id: number
}

const ALWAYS = { keepAlive: { when: 'always' } } as const
const played: Played[] = []
const told = new Map<number, GuardEvent['type'][]>()
let guard: Guard

function begin(kind: Kind, scene: SceneName, socket: net.Socket): void {
  if (scene === 'idle-probed') guard.configure(socket, ALWAYS)
  played.push({ kind, scene, socket, id: guard.adapter.describe(socket)!.id })
  play(socket, scene)
}

/** The client's first word is the scene. */
function accept(kind: Kind): (socket: net.Socket) => void {
  return (socket) => {
    socket.once('data', (name: Buffer) => {
      socket.write('as you like')
      begin(kind, name.toString() as SceneName, socket)
    })
  }
}

const actions = {
  async listen(host: string, options: InstallOptions) {
    guard = install(options)
    guard.subscribe(({ type, socket: { id } }) => told.set(id, [...(told.get(id) ?? []), type]))
    const server = net.createServer({ allowHalfOpen: true }, accept('server'))
    const secure = tls.createServer({ ...CERTIFICATE, allowHalfOpen: true }, accept('tls-server'))
    const upgraded = http.createServer().on('upgrade', ({ headers }, socket) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${headers.upgrade}\r\n\r\n`,
      )
      begin('upgraded', headers.upgrade as SceneName, socket as net.Socket)
    })
    for (const each of [server, secure, upgraded]) await once(each.listen(0, host), 'listening')
    const [port, securePort, upgradedPort] = [server, secure, upgraded].map(
      (each) => (each.address() as net.AddressInfo).port,
    )
    return { server: port!, 'tls-server': securePort!, upgraded: upgradedPort! }
  },
  async visit(kind: Kind, scene: SceneName, host: string, port: number): Promise<void> {
    const options = { host, port, allowHalfOpen: true }
    const isTls = kind === 'tls-client'
    const socket = isTls ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options)
    await once(socket, isTls ? 'secureConnect' : 'connect')
    socket.write(scene)
    // Else its name might be read with what follows.
    await once(socket, 'data')
    begin(kind, scene, socket)
  },
  /** Something to acknowledge on every connection that is idle. */
  speak(): void {
    for (const { scene, socket } of played) if (scene === 'idle') socket.write('hello?')
  },
  fates(): Fate[] {
    guard.sweep()
    return played.map(({ kind, scene, socket, id }) => {
      const row = guard.adapter.describe(socket)
      return {
        kind,
        scene,
        isClosed: socket.destroyed,
        verdict: row?.verdict ?? null,
        condition: row?.condition ?? null,
        peer: row?.evidence.peer ?? null,
        events: told.get(id) ?? [],
      }
    })
  },
}

export type GuardedHost = typeof actions

obey(actions)
