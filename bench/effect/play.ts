/** One scene under one remedy: what became of the connection, by the descriptors that the server's process holds. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Seen } from './host.js'
import { standOutside } from './outside.js'
import { LIMIT_MS, REMEDIES } from './remedies.js'
import type { Scene } from './scenes.js'

export interface Outcome {
  /** Of a leak: until its descriptors were free; `null` for never. */
  readonly freedMs: number | null
  /** Of a legal one: the peer did not get what it asked for. */
  readonly wasKilled: boolean
  readonly hasDied: boolean
  readonly seen: Seen
}

/** Long enough for a grace, an escalation and what a proxy adds. */
const WATCHED_MS = 4 * LIMIT_MS
const UNSEEN: Seen = { isSeen: false, isNamed: false }

export async function play(scene: Scene, remedyName: string): Promise<Outcome> {
  const host = fork(join(import.meta.dirname, 'host.js'), [scene.name, remedyName, 'quick'], { silent: true })
  const [port] = (await Promise.race([once(host, 'message'), once(host, 'exit')])) as [number]
  if (!host.connected) throw new Error(`its server ended with ${port}`)
  const outside = await standOutside(REMEDIES[remedyName]!.outside, port)
  try {
    const before = socketsOf(host)
    const isServed = await scene.play(outside.port)
    const freedMs = scene.condition === null ? null : await untilFree(host, before)
    const seen = await askSeen(host)
    const hasDied = !host.connected
    return { freedMs: hasDied ? null : freedMs, wasKilled: !isServed, hasDied, seen }
  } finally {
    outside.stop()
    if (host.connected) host.disconnect()
  }
}

async function untilFree(host: ChildProcess, before: number): Promise<number | null> {
  const startMs = performance.now()
  while (performance.now() - startMs < WATCHED_MS) {
    if (socketsOf(host) <= before) return performance.now() - startMs
    await sleep(50)
  }
  return null
}

async function askSeen(host: ChildProcess): Promise<Seen> {
  if (!host.connected) return UNSEEN
  host.send('seen', () => {})
  const answer = await Promise.race([once(host, 'message'), once(host, 'disconnect')])
  return (answer[0] as Seen | undefined) ?? UNSEEN
}

/** 0 once the process is gone. */
export function socketsOf({ pid }: ChildProcess): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`)).length
  } catch {
    return 0
  }
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:')
  } catch {
    return false
  }
}
