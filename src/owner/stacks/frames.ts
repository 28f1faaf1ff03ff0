import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

const MOST_FRAMES = 10
/** Node's own frames of a `fetch()` alone are about forty. */
const DEEPEST = 100

export function captureError(): Error {
  const before = Error.stackTraceLimit
  try {
    Error.stackTraceLimit = DEEPEST
    return new Error('access')
  } catch {
    // Frozen intrinsics: the limit can't be changed.
    return new Error('access')
  } finally {
    try {
      Error.stackTraceLimit = before
    } catch {
      // Still frozen.
    }
  }
}

/** `stack` is an array of call sites if the application's Error.prepareStackTrace returns them. */
export function linesOf(stack: unknown): string[] {
  if (Array.isArray(stack)) return stack.map((site) => ` ${String(site)}`)
  return typeof stack === 'string' ? stack.split('\n').slice(1) : []
}

export function frameOf(line: string): Place | null {
  const found = /(?:\(|\s)((?:[a-z][a-z\d+.-]+:\/\/|\/|[A-Za-z]:[\\/])[^()]*):(\d+):(\d+)\)?$/.exec(line)
  if (found === null) return null
  return { file: pathOf(found[1]!), line: Number(found[2]), column: Number(found[3]) }
}

function pathOf(file: string): string {
  try {
    return file.startsWith('file://') ? fileURLToPath(file) : file
  } catch {
    return file
  }
}

/** Below `node_modules`, or made by a bundler: `webpack/runtime/...`, `webpack/bootstrap`, `external ...`. */
export function isDependency({ file }: Place): boolean {
  return (
    file.includes(`${sep}node_modules${sep}`) ||
    (file.includes('://') && /\/node_modules\/|\/webpack\/(?:runtime|bootstrap)|\/external /.test(file))
  )
}

// Frames to show, innermost first, up to the outermost one of the application; beyond it is its framework. If there are
// too many, the application's come before its dependencies'.
export function selectFrames<Frame extends Place>(frames: readonly Frame[]): Frame[] {
  const outermost = frames.findLastIndex((frame) => !isDependency(frame))
  const upToApplication = outermost === -1 ? frames : frames.slice(0, outermost + 1)
  const start = Math.max(0, Math.min(indexOfSite(upToApplication), upToApplication.length - MOST_FRAMES))
  return upToApplication.slice(start, start + MOST_FRAMES)
}

export function indexOfSite(frames: readonly Place[]): number {
  const own = frames.findIndex((frame) => !isDependency(frame))
  if (own !== -1) return own
  const outermost = packageOf(frames.at(-1))
  return frames.findLastIndex((frame) => packageOf(frame) !== outermost) + 1
}

export function packageNameOf({ file }: Place): string | null {
  const found = [...file.matchAll(/node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/g)].at(-1)?.[1]
  return found?.replace('\\', '/') ?? null
}

function packageOf(frame: Place | undefined): string {
  const parts = (frame?.file ?? '').split(/[\\/]/)
  const at = parts.lastIndexOf('node_modules') + 1
  return parts.slice(0, at + (parts[at]?.startsWith('@') === true ? 2 : 1)).join('/')
}
