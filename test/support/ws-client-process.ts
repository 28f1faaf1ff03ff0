/**
 * A WebSocket client in a process of its own, which answers pings while its server is busy with something else.
 * Not a test file: forked by `ws-heartbeat.test.ts` with the port as its argument.
 */
import { WebSocket } from 'ws'

const client = new WebSocket(`ws://127.0.0.1:${process.argv[2]}/`)
client.on('open', () => process.send?.('open'))
client.on('error', () => {})
process.on('disconnect', () => process.exit())
