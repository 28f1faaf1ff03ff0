/**
 * `fork('host.js', [scene, remedy, pace])`: the server of one scene under one remedy. Tells its port, and on demand what the
 * guard saw.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { ALL_REMEDIES, PACES } from './remedies.js'
import { SCENES } from './scenes.js'

export interface Seen {
  readonly isSeen: boolean
  readonly isNamed: boolean
}

const [sceneName, remedyName, pace] = process.argv.slice(2)
const scene = SCENES.find(({ name }) => name === sceneName)!
const { remedy, guard } = ALL_REMEDIES[remedyName!]!.apply(PACES[pace as keyof typeof PACES])
const told: { readonly condition: string | null; readonly site: string }[] = []
guard?.subscribe(({ type, socket }) => {
  if (type === 'leaked' || type === 'stalled' || type === 'dead')
    told.push({ condition: socket.condition, site: socket.owner.site })
})

const server = scene.serve(remedy)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.on('message', () => {
  const pairs = guard?.sweep().pairs ?? []
  const isSeen = told.length > 0 || pairs.length > 0
  const sites = [...told.map(({ site }) => site), ...pairs.map(({ line }) => line)]
  process.send!({ isSeen, isNamed: isSeen && sites.some((site) => site.includes(scene.site)) } satisfies Seen)
})
process.on('disconnect', () => process.exit())
process.send!((server.address() as AddressInfo).port)
