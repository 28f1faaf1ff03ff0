/**
 * Guards a WebSocketServer with everything that needs a timer, closes it in the ordinary way and has nothing else to do.
 * Not a test file: forked by `ws-drain.test.ts`. Exits with 1 when it is still alive after a while.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'
import { guardServer } from '../../adapters/ws/index.js'

const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
guardServer(wss, { heartbeat: { intervalMs: 60_000 }, closeTimeoutMs: 60_000 })
await once(wss, 'listening')
const client = new WebSocket(`ws://127.0.0.1:${(wss.address() as AddressInfo).port}/`)
await once(client, 'open')
client.close()
await once(client, 'close')
wss.close()
process.disconnect?.()
setTimeout(() => process.exit(1), 10_000).unref()
