/** A cluster of two workers, a worker thread, and a child that sockets are handed to. All of them leak. */
import { fork } from 'node:child_process'
import cluster from 'node:cluster'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'

const FILE = import.meta.filename

/** Reads everything and never ends its side. */
async function leak(): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

if (!isMainThread) {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is no window
  parentPort!.postMessage(await leak())
} else if (process.argv[2] === 'child') {
  const taken: net.Socket[] = []
  process.on('message', (_message, handle) => {
    const socket = handle as net.Socket
    socket.allowHalfOpen = true
    taken.push(socket.resume())
  })
  process.send!('ready')
} else if (cluster.isPrimary) {
  cluster.setupPrimary({ exec: FILE, args: [] })
  const workers = [cluster.fork(), cluster.fork()]
  const [[address]] = (await Promise.all(workers.map((worker) => once(worker, 'listening')))) as [
    [AddressInfo],
  ]
  const thread = new Worker(FILE)
  const [threadPort] = (await once(thread, 'message')) as [number]
  const child = fork(FILE, ['child'])
  await once(child, 'message')
  const giver = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    child.send('take it', socket)
  })
  await once(giver.listen(0, '127.0.0.1'), 'listening')
  const ports = { cluster: address.port, thread: threadPort, giver: (giver.address() as AddressInfo).port }
  const pids = { workers: workers.map(({ process: { pid } }) => pid), child: child.pid }
  process.stdout.write(`${JSON.stringify({ ports, pids })}\n`)
  // The test ends it.
  process.stdin.resume().on('end', () => {
    child.kill()
    for (const worker of workers) worker.process.kill('SIGKILL')
    process.exit()
  })
} else {
  await leak()
}
