import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A frame of a stack, or where that was written. */
export interface Place {
  /** A path, or a URL that is none: `webpack://app/src/route.ts`. */
  readonly file: string
  /** From 1. */
  readonly line: number
  /** From 1. */
  readonly column: number
}

const MOST_FRAMES = 10
/** Node's own frames of a `fetch()` alone are about forty, and a package may add many of its own. */
const DEEPEST = 100

/** An Error as deep as is needed, whatever the application has set. */
export function captureError(): Error {
  const before = Error.stackTraceLimit
  try {
    Error.stackTraceLimit = DEEPEST
    return new Error('access')
  } catch {
    // Frozen intrinsics: as deep as it is.
    return new Error('access')
  } finally {
    try {
      Error.stackTraceLimit = before
    } catch {
      // As it was.
    }
  }
}

/** @param stack of an Error; an application's own Error.prepareStackTrace may return the call sites as they are */
export function linesOf(stack: unknown): string[] {
  if (Array.isArray(stack)) return stack.map((site) => ` ${String(site)}`)
  return typeof stack === 'string' ? stack.split('\n').slice(1) : []
}

/** `null` for a frame that lies in no file, as Node's own: "node:internal/process/task_queues:95:5". */
export function frameOf(line: string): Place | null {
  // A place stands alone or in brackets.
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

/**
 * A dependency's code, not the application's own: below `node_modules`, or of a bundler's making (webpack names what it
 * adds `webpack/runtime/...`, `webpack/bootstrap` and `external ...`).
 */
export function isDependency({ file }: Place): boolean {
  return (
    file.includes(`${sep}node_modules${sep}`) ||
    (file.includes('://') && /\/node_modules\/|\/webpack\/(?:runtime|bootstrap)|\/external /.test(file))
  )
}

/**
 * The frames to show, innermost first. What called the application's outermost function is its framework, and always the
 * same. Where there are too many, the frames of the packages that the application called into make room for its own.
 */
export function selectFrames<Frame extends Place>(frames: readonly Frame[]): Frame[] {
  const outermost = frames.findLastIndex((frame) => !isDependency(frame))
  const upToApplication = outermost === -1 ? frames : frames.slice(0, outermost + 1)
  const start = Math.max(0, Math.min(indexOfSite(upToApplication), upToApplication.length - MOST_FRAMES))
  return upToApplication.slice(start, start + MOST_FRAMES)
}

/** The innermost frame of the application; without one, the place where the outermost package called the next. */
export function indexOfSite(frames: readonly Place[]): number {
  const own = frames.findIndex((frame) => !isDependency(frame))
  if (own !== -1) return own
  const outermost = packageOf(frames.at(-1))
  return frames.findLastIndex((frame) => packageOf(frame) !== outermost) + 1
}

function packageOf(frame: Place | undefined): string {
  const parts = (frame?.file ?? '').split(/[\\/]/)
  const at = parts.lastIndexOf('node_modules') + 1
  return parts.slice(0, at + (parts[at]?.startsWith('@') === true ? 2 : 1)).join('/')
}
