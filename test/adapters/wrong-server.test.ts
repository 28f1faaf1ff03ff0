/** Whoever mixes servers up is told which adapter to take; a misspelt option is told what was meant. */
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import { Server as SocketIoServer } from 'socket.io'
import t from 'tap'
import { WebSocketServer } from 'ws'
import * as expressAdapter from '../../adapters/express/index.js'
import * as fastifyAdapter from '../../adapters/fastify/index.js'
import * as httpAdapter from '../../adapters/http/index.js'
import * as koaAdapter from '../../adapters/koa/index.js'
import * as netAdapter from '../../adapters/net/index.js'
import * as socketIoAdapter from '../../adapters/socket-io/index.js'
import * as wsAdapter from '../../adapters/ws/index.js'
import { install, installedGuard, SocketLeakGuardError } from '../../src/index.js'

type Anything = (server: never, options?: object) => { release(): void }

const ADAPTERS: Record<string, Anything> = {
  net: netAdapter.guardServer,
  http: httpAdapter.guardServer,
  express: expressAdapter.guardServer,
  fastify: fastifyAdapter.guardServer,
  koa: koaAdapter.guardServer,
  ws: wsAdapter.guardServer,
  'socket.io': socketIoAdapter.guardServer,
}

const webSocketServer = new WebSocketServer({ noServer: true })

const THINGS: Record<string, unknown> = {
  'net.Server': net.createServer(),
  'tls.Server': tls.createServer(),
  'http.Server': http.createServer(),
  'https.Server': https.createServer(),
  WebSocketServer: webSocketServer,
  'an Express application': express(),
  'a Koa application': new Koa(),
  'a Fastify instance': Fastify(),
  'a Socket.IO server': new SocketIoServer(http.createServer()),
  'a plain object': {},
  undefined,
}

const GOOD: Record<string, readonly string[]> = {
  net: ['net.Server', 'tls.Server'],
  http: ['http.Server', 'https.Server'],
  express: ['http.Server', 'https.Server'],
  fastify: ['a Fastify instance'],
  koa: ['http.Server', 'https.Server'],
  ws: ['WebSocketServer'],
  'socket.io': ['a Socket.IO server'],
}

/** What the message says about a thing that is wrong for any adapter. */
const ADVICE: Record<string, RegExp> = {
  'net.Server': /got a net\.Server; import \{ guardServer \} from "socket-leak-guard\/net"$/,
  'tls.Server': /got a net\.Server; import \{ guardServer \} from "socket-leak-guard\/net"$/,
  'http.Server': /got an HTTP server; import \{ guardServer \} from "socket-leak-guard\/http"$/,
  'https.Server': /got an HTTP server; import \{ guardServer \} from "socket-leak-guard\/http"$/,
  WebSocketServer: /got a WebSocketServer; import \{ guardServer \} from "socket-leak-guard\/ws"$/,
  'an Express application':
    /got an application, which has no sockets; pass the server that app\.listen\(\) returns$/,
  'a Koa application':
    /got an application, which has no sockets; pass the server that app\.listen\(\) returns$/,
  'a Fastify instance': /got a Fastify instance; import \{ guardServer \} from "socket-leak-guard\/fastify"$/,
  'a Socket.IO server':
    /got a Socket\.IO server; import \{ guardServer \} from "socket-leak-guard\/socket\.io"$/,
  'a plain object': /got Object \(object\)$/,
  undefined: /got undefined$/,
}

function errorOf(call: () => unknown): SocketLeakGuardError {
  try {
    call()
  } catch (error) {
    return error as SocketLeakGuardError
  }
  throw new Error('did not throw')
}

for (const [adapter, guardServer] of Object.entries(ADAPTERS)) {
  void t.test(`${adapter} takes its own kind of server and no other`, async (t) => {
    for (const [name, thing] of Object.entries(THINGS)) {
      if (GOOD[adapter]!.includes(name)) {
        guardServer(thing as never).release()
        continue
      }
      const error = errorOf(() => guardServer(thing as never))
      t.equal(error.code, 'SLG_ERR_WRONG_SERVER', name)
      t.match(error.message, /^server must be an? /, name)
      t.match(error.message, ADVICE[name]!, name)
    }
    installedGuard()?.uninstall()
  })

  void t.test(`${adapter} names the option that was meant`, async (t) => {
    const server = THINGS[GOOD[adapter]![0]!] as never
    const guard = install()
    t.teardown(() => guard.uninstall())
    for (const [misspelt, meant] of [
      ['graceMS', 'graceMs'],
      ['lable', 'label'],
      ['actoin', 'action'],
    ]) {
      const error = errorOf(() => guardServer(server, { [misspelt!]: 1 }))
      t.equal(error.code, 'SLG_ERR_UNKNOWN_OPTION')
      t.equal(error.message, `unknown option "${misspelt}"; did you mean "${meant}"?`)
    }
    const whole = errorOf(() => guardServer(server, { sweepMs: 1 }))
    t.match(
      whole.message,
      /unknown option "sweepMs"; it holds for the whole process, so give it to install\(\)/,
    )
    t.match(
      errorOf(() => guardServer(server, { label: 1 })).message,
      /^label must be a string, got 1 \(number\)/,
    )
    t.match(errorOf(() => guardServer(server, { graceMs: -1 })).message, /^graceMs must be/)
    t.equal(errorOf(() => guardServer(server, 'fast' as never)).code, 'SLG_ERR_INVALID_OPTION')
  })
}

void t.test('the options that only ws has', async (t) => {
  const guard = install()
  t.teardown(() => guard.uninstall())
  const message = (options: object): string =>
    errorOf(() => wsAdapter.guardServer(webSocketServer, options)).message
  t.equal(message({ hearbeat: true }), 'unknown option "hearbeat"; did you mean "heartbeat"?')
  t.equal(message({ closeTimeout: 1 }), 'unknown option "closeTimeout"; did you mean "closeTimeoutMs"?')
  t.match(message({ heartbeat: 30 }), /^heartbeat must be true, false or an object/)
  t.match(message({ heartbeat: { interval: 1 } }), /unknown option "interval"; did you mean "intervalMs"\?/)
  t.match(
    message({ heartbeat: { intervalMs: 0 } }),
    /^heartbeat\.intervalMs must be an integer from 1 to 2147483647, got 0/,
  )
  t.match(
    message({ heartbeat: { intervalMs: 10, timeoutMs: 11 } }),
    /^heartbeat\.timeoutMs must be at most heartbeat\.intervalMs, got 11 and 10$/,
  )
  t.match(message({ closeTimeoutMs: 0 }), /^closeTimeoutMs must be an integer from 1 to 2147483647, got 0/)
  t.equal(webSocketServer.listenerCount('connection'), 0, 'a refused call leaves nothing behind')
  for (const off of [false, null, 'off'] as const) {
    wsAdapter.guardServer(webSocketServer, { heartbeat: false, closeTimeoutMs: off }).release()
  }
})

void t.test('drain names the option that was meant, too', async (t) => {
  const guard = install()
  t.teardown(() => guard.uninstall())
  const http = httpAdapter.guardServer(THINGS['http.Server'] as http.Server)
  await t.rejects(http.drain({ timeout: 1 } as never), {
    code: 'SLG_ERR_UNKNOWN_OPTION',
    message: 'unknown option "timeout"; did you mean "timeoutMs"?',
  })
  await t.rejects(http.drain({ timeoutMs: 1.5 }), { code: 'SLG_ERR_INVALID_OPTION' })
  const ws = wsAdapter.guardServer(webSocketServer)
  for (const code of [999, 1005, 1006, 2000, 5000, '1001']) {
    await t.rejects(ws.drain({ code: code as number }), { code: 'SLG_ERR_INVALID_OPTION' }, String(code))
  }
  await t.rejects(ws.drain({ reason: 'x'.repeat(124) }), { code: 'SLG_ERR_INVALID_OPTION' })
  await t.rejects(ws.drain({ raeson: 'x' } as never), { message: /did you mean "reason"/ })
})
