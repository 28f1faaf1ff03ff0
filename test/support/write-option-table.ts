/** Renews the table in docs/options.md: `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withOptionTable } from './option-table-markdown.js'
import { PACKAGE_ROOT } from './package-root.js'

const path = join(PACKAGE_ROOT, 'docs', 'options.md')
writeFileSync(path, withOptionTable(readFileSync(path, 'utf8')))
