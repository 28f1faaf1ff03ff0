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

/**
 * Frames that lie in files, innermost first. Node's own are left out: "node:internal/process/task_queues:95:5".
 *
 * @param stack of an Error; an application's own Error.prepareStackTrace may return the call sites as they are
 */
export function framesOf(stack: unknown): Place[] {
  return (
    linesOf(stack)
      // A place stands alone or in brackets.
      .map((line) =>
        /(?:\(|\s)((?:[a-z][a-z\d+.-]+:\/\/|\/|[A-Za-z]:[\\/])[^()]*):(\d+):(\d+)\)?$/.exec(line),
      )
      .filter((found) => found !== null)
      .map(([, file, line, column]) => ({
        file: pathOf(file!),
        line: Number(line),
        column: Number(column),
      }))
  )
}

function linesOf(stack: unknown): string[] {
  if (Array.isArray(stack)) return stack.map((site) => ` ${String(site)}`)
  return typeof stack === 'string' ? stack.split('\n').slice(1) : []
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
