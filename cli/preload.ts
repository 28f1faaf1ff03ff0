import { fileURLToPath } from 'node:url'

/** The CommonJS preload, beside this file once it is dist/cli.js. */
export const PRELOAD = fileURLToPath(new URL('./register.cjs', import.meta.url))
