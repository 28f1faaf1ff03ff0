import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** From build/test/support. */
export const PACKAGE_ROOT = join(import.meta.dirname, '..', '..', '..')

/** For `--require`, and for `--import`: what package.json names as `./register`. */
export const REGISTER = join(PACKAGE_ROOT, 'dist', 'register.cjs')
export const REGISTER_URL = pathToFileURL(join(PACKAGE_ROOT, 'dist', 'register.js')).href

/** The command line, as package.json names it in `bin`. */
export const CLI = join(PACKAGE_ROOT, 'dist', 'cli.js')

/** The URL of the package as it is published, for the source of a child's program. */
export const INDEX_URL = pathToFileURL(join(PACKAGE_ROOT, 'dist', 'index.js')).href

/** The URL of a compiled module, for the source of a child's program. */
export function moduleUrl(path: string): string {
  return pathToFileURL(join(PACKAGE_ROOT, 'build', path)).href
}
