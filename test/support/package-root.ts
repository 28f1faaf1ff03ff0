import { join } from 'node:path'

/** From dist/test/support. */
export const PACKAGE_ROOT = join(import.meta.dirname, '..', '..', '..')

export const REGISTER = join(PACKAGE_ROOT, 'dist', 'src', 'register.js')

/** The URL of a compiled module, for the source of a child's program. */
export function moduleUrl(path: string): string {
  return new URL(path, `file://${PACKAGE_ROOT}/dist/`).href
}
