/** Whatever the guard may have written to a socket is as before: in the kernel, asked by getsockopt(2), and in JavaScript. */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import net from 'node:net'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { install, type Guard } from '../../src/index.js'
import { descriptorOf } from '../../src/socket/fields.js'
import { CERTIFICATE } from '../support/certificate.js'
import { closeAfter } from '../support/close-after.js'
import { listen } from '../support/events.js'
import { until } from '../support/until.js'

const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
const getsockopt = koffi.load(null).func('int getsockopt(int, int, int, _Out_ int *, _Inout_ uint32_t *)')

/** Level and option: socket(7), tcp(7). */
const KERNEL_OPTIONS = {
  SO_KEEPALIVE: [1, 9],
  SO_LINGER: [1, 13],
  TCP_KEEPIDLE: [6, 4],
  TCP_KEEPINTVL: [6, 5],
  TCP_KEEPCNT: [6, 6],
  TCP_USER_TIMEOUT: [6, 18],
  TCP_NODELAY: [6, 1],
} as const

function optionsOf(socket: net.Socket): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(KERNEL_OPTIONS).map(([name, [level, option]]) => {
      const value = [0]
      getsockopt(descriptorOf(socket), level, option, value, [4])
      return [name, value[0]]
    }),
  )
}

/** What changes by itself while bytes and time pass. */
const BY_ITSELF =
  /^_(?:readableState|writableState|events|eventsCount|bytesDispatched|idle\w*)$|bytes|kUpdateTimer|timeout|lastWriteQueueSize|async_id/i

function fieldsOf(object: object): Map<PropertyKey, unknown> {
  const descriptors = Object.getOwnPropertyDescriptors(object) as Record<PropertyKey, PropertyDescriptor>
  return new Map(
    Reflect.ownKeys(object)
      .filter((key) => !BY_ITSELF.test(typeof key === 'symbol' ? (key.description ?? '') : key))
      .map((key) => [key, descriptors[key]!.value]),
  )
}

function listenersOf(socket: net.Socket): unknown[] {
  return socket.eventNames().flatMap((event) => [event, ...socket.rawListeners(event as string)])
}

interface Picture {
  readonly kernel: Record<string, unknown>
  readonly javascript: readonly (readonly unknown[])[]
}

function pictureOf(socket: net.Socket): Picture {
  const { _handle: handle } = socket as unknown as { _handle: object }
  const { allowHalfOpen, timeout } = socket
  return {
    kernel: optionsOf(socket),
    javascript: [
      [...fieldsOf(socket)].flat(),
      [...fieldsOf(handle)].flat(),
      listenersOf(socket),
      [allowHalfOpen, timeout, socket.readableFlowing, socket.isPaused()],
    ],
  }
}

/** The same functions and objects, and not only equal ones. */
function isSame(a: Picture, b: Picture): boolean {
  return a.javascript.every(
    (values, i) =>
      values.length === b.javascript[i]!.length &&
      values.every((value, k) => Object.is(value, b.javascript[i]![k])),
  )
}

const SWITCHED_OFF = 'its own, switched off again'

const OWN_KEEP_ALIVE: Readonly<Record<string, (socket: net.Socket) => unknown>> = {
  'none of its own': () => {},
  'its own keep-alive': (socket) => socket.setKeepAlive(true, 120_000),
  [SWITCHED_OFF]: (socket) => socket.setKeepAlive(true, 120_000).setKeepAlive(false),
}

async function pair(t: Test, kind: 'tcp' | 'tls'): Promise<net.Socket[]> {
  const options = { allowHalfOpen: true }
  const server = closeAfter(
    t,
    kind === 'tcp' ? net.createServer(options) : tls.createServer({ ...CERTIFICATE, ...options }),
  )
  const port = await listen(server)
  const accepted = once(server, kind === 'tcp' ? 'connection' : 'secureConnection') as Promise<[net.Socket]>
  const client =
    kind === 'tcp'
      ? net.connect({ port, host: '127.0.0.1', ...options })
      : tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  const [socket] = await accepted
  if (kind === 'tcp' && client.connecting) await once(client, 'connect')
  for (const one of [client, socket]) {
    one.on('error', () => {}).resume()
    t.teardown(() => one.destroy())
  }
  return [client, socket]
}

function begin(kernel: 'ffi' | 'proc' | 'off', when: 'always' | 'suspect'): Guard {
  return install({
    kernel,
    graceMs: 100,
    sweepMs: 10,
    userTimeoutMs: 300_000,
    keepAlive: { when },
    reclaimDead: false,
  })
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
/** An older Node sets these two to numbers of its own whenever it switches keep-alive on. */
const setsAllTimes = major > 26 || (major === 26 && minor >= 4) || (major === 24 && minor >= 19)

/** Without the ffi view nobody can read the times of a keep-alive that is off. */
function unreachable(kernel: string, name: string, { kernel: before }: Picture): Record<string, unknown> {
  const { TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT } = before
  if (kernel === 'ffi') return {}
  if (name === SWITCHED_OFF) return { TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT }
  return setsAllTimes ? {} : { TCP_KEEPINTVL, TCP_KEEPCNT }
}

for (const kernel of ['ffi', 'proc', 'off'] as const) {
  for (const when of ['suspect', 'always'] as const) {
    for (const kind of ['tcp', 'tls'] as const) {
      for (const [name, prepare] of Object.entries(OWN_KEEP_ALIVE)) {
        t.test(`${kind}, kernel ${kernel}, keepAlive ${when}, ${name}`, async (t) => {
          const sockets = await pair(t, kind)
          for (const socket of sockets) prepare(socket)
          const before = sockets.map(pictureOf)
          function compare(what: string, fields: readonly Picture[]): void {
            sockets.map(pictureOf).forEach((now, i) => {
              const options = { ...now.kernel, ...unreachable(kernel, name, before[i]!) }
              t.same(options, before[i]!.kernel, `${what}: the kernel's options`)
              t.ok(isSame(now, fields[i]!), `${what}: the fields of JavaScript`)
            })
          }
          const idle = begin(kernel, when)
          idle.sweep()
          idle.uninstall()
          compare('after uninstall() of a guard that found nothing', before)

          const guard = begin(kernel, when)
          t.teardown(() => guard.uninstall())
          const [client, socket] = sockets as [net.Socket, net.Socket]
          client.end()
          await until(() => socket.readableEnded && client.writableFinished, 'one side has ended')
          const halfClosed = sockets.map(pictureOf)
          await until(() => guard.sweep().totals.leaked === 2, 'both are leaked')
          guard.uninstall()
          compare('after a leak and uninstall()', halfClosed)
        })
      }
    }
  }
}
