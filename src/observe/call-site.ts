import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The guard's own code, compiled and, for who runs with --enable-source-maps, its sources: its frames are nobody's leak. */
const OWN_FOLDERS = ['../', '../../adapters/', '../../../src/', '../../../adapters/'].map((folder) =>
  fileURLToPath(new URL(folder, import.meta.url)),
)

/** Frames of the application in a stack, innermost first, as `file:line:column`. Node's and the guard's own are left out. */
export function applicationFrames(stack: string): string[] {
  return (
    stack
      .split('\n')
      .slice(1)
      // A place stands alone or in brackets; "node:internal/process/task_queues:95:5" holds a slash as well.
      .map((line) => /(?:\(|\s)((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/])[^()]*:\d+:\d+)\)?$/.exec(line)?.[1])
      .filter((place) => place !== undefined)
      .map((place) => (place.startsWith('file://') ? fileUrlToPlace(place) : place))
      .filter((place) => !OWN_FOLDERS.some((folder) => place.startsWith(folder)))
  )
}

function fileUrlToPlace(url: string): string {
  const [, file, position] = /^(.*?)(:\d+:\d+)$/.exec(url) ?? []
  try {
    return fileURLToPath(file!) + position!
  } catch {
    return url
  }
}

/** A dependency's frame, not the application's own code. */
export function isDependency(place: string): boolean {
  return place.includes(`${sep}node_modules${sep}`)
}
