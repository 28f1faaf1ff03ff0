import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** From dist/test/support. */
export const PACKAGE_ROOT = join(import.meta.dirname, '..', '..', '..')

/** For `--require`, and for `--import`: what package.json names as `./register`. */
export const REGISTER = join(PACKAGE_ROOT, 'dist', 'src', 'register.cjs')
export const REGISTER_URL = pathToFileURL(join(PACKAGE_ROOT, 'dist', 'src', 'register.js')).href

/** The URL of a compiled module, for the source of a child's program. */
export function moduleUrl(path: string): string {
  return pathToFileURL(join(PACKAGE_ROOT, 'dist', path)).href
}
