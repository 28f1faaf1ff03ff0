/** HAProxy or nginx before a server, or `ss -K` on its stuck connections. Each ends with the function that is returned. */
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LIMIT_MS, type RemedyKind } from './remedies.js'

export interface Outside {
  readonly port: number
  stop(): void
}

export async function standOutside(kind: RemedyKind['outside'], port: number): Promise<Outside> {
  switch (kind) {
    case undefined:
      return { port, stop() {} }
    case 'ss':
      return killStuck(port)
    case 'haproxy':
      return startProxy((at) => ['haproxy', '-db', '-f', at], haproxyBefore(port))
    case 'nginx':
      return startProxy((at) => ['nginx', '-c', at, '-g', 'daemon off;'], nginxBefore(port))
  }
}

function killStuck(port: number): Outside {
  const timer = setInterval(() => {
    for (const state of ['close-wait', 'fin-wait-2'])
      execFile('ss', ['-K', '-H', '-t', 'state', state, `( sport = :${port} )`], () => {})
  }, 1000)
  return { port, stop: () => clearInterval(timer) }
}

type Config = (at: number, folder: string) => string

function haproxyBefore(port: number): Config {
  const limits = ['connect', 'client', 'server', 'tunnel', 'client-fin', 'server-fin']
  return (at) =>
    `defaults\n mode tcp\n${limits.map((name) => ` timeout ${name} ${LIMIT_MS}ms\n`).join('')}` +
    `listen before\n bind 127.0.0.1:${at}\n server app 127.0.0.1:${port}\n`
}

function nginxBefore(port: number): Config {
  return (at, folder) =>
    `include /etc/nginx/modules-enabled/*stream*.conf;\npid ${folder}/pid;\nerror_log ${folder}/error.log;\nevents {}\n` +
    `stream { server { listen 127.0.0.1:${at}; proxy_pass 127.0.0.1:${port}; proxy_timeout ${LIMIT_MS}ms; } }\n`
}

async function startProxy(command: (file: string) => string[], config: Config): Promise<Outside> {
  const folder = mkdtempSync(join(tmpdir(), 'effect-'))
  const port = await freePort()
  const file = join(folder, 'proxy.conf')
  writeFileSync(file, config(port, folder))
  const [program, ...args] = command(file)
  const child = spawn(program!, args, { stdio: 'ignore' })
  let failure: string | null = null
  child.on('error', ({ message }) => (failure = message))
  child.on('exit', (code) => (failure ??= `it ended with ${code}`))
  while (!(await isListening(port))) {
    if (failure !== null) throw new Error(`${program}: ${failure}`)
    await sleep(20)
  }
  return {
    port,
    stop() {
      child.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
