/**
 * `npm run mutation [-- FILE...]`: breaks the judgement in every small way and runs its tests against each.
 *
 * Every change that no test notices must be explained in docs/mutation.md, and nothing else may stand there. The compiled files of
 * src/judge are changed in copies, one for each worker; the tests know nothing of it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { PACKAGE_ROOT } from '../support/package-root.js'
import { mutantsOf, type Mutant } from './mutants.js'

const JUDGE = join('build', 'src', 'judge')
const COPIED = [JUDGE, 'build/src/core', 'build/test/judge', 'package.json']
/** Those that are quick first. */
const TESTS = ['edges', 'classify', 'policy', 'peer', 'lifecycle', 'lifecycle-properties']
/** A change may make an endless loop. */
const TIME_LIMIT_MS = 60_000
const EXPLAINED = join(PACKAGE_ROOT, 'docs', 'mutation.md')

interface Change extends Mutant {
  readonly file: string
  readonly name: string
}

function changesOf(file: string): Change[] {
  const code = readFileSync(join(PACKAGE_ROOT, JUDGE, file), 'utf8')
  return mutantsOf(code).map((mutant) => ({ ...mutant, file, name: `${file} ${mutant.change}` }))
}

/** @returns whether a test noticed */
async function isNoticed(copy: string): Promise<boolean> {
  for (const test of TESTS) {
    const child = spawn(process.execPath, [join(copy, 'build/test/judge', `${test}.test.js`)], {
      stdio: 'ignore',
      env: { ...process.env, TAP_BAIL: '1' },
      timeout: TIME_LIMIT_MS,
      killSignal: 'SIGKILL',
    })
    const [code] = (await once(child, 'exit')) as [number | null]
    if (code !== 0) return true
  }
  return false
}

async function work(changes: Change[], survivors: Change[]): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), 'mutation-'))
  try {
    for (const part of COPIED) cpSync(join(PACKAGE_ROOT, part), join(copy, part), { recursive: true })
    symlinkSync(join(PACKAGE_ROOT, 'node_modules'), join(copy, 'node_modules'))
    if (await isNoticed(copy)) throw new Error('the tests fail without any change')
    for (let change = changes.shift(); change !== undefined; change = changes.shift()) {
      const target = join(copy, JUDGE, change.file)
      const before = readFileSync(target)
      writeFileSync(target, change.code)
      if (!(await isNoticed(copy))) {
        survivors.push(change)
        console.log(`survived: ${change.name}`)
      }
      writeFileSync(target, before)
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function explained(): Set<string> {
  if (!existsSync(EXPLAINED)) return new Set()
  const rows = readFileSync(EXPLAINED, 'utf8').matchAll(/^\| `(\S+)` \| `(.+?)` \|/gm)
  return new Set([...rows].map(([, file, change]) => `${file} ${change?.replaceAll('\\|', '|')}`))
}

const wanted = process.argv.slice(2)
const files = readdirSync(join(PACKAGE_ROOT, JUDGE)).filter(
  (file) => file.endsWith('.js') && (wanted.length === 0 || wanted.includes(file)),
)
const changes = files.flatMap(changesOf)
const total = changes.length
const survivors: Change[] = []
await Promise.all(Array.from({ length: availableParallelism() }, () => work(changes, survivors)))
const known = explained()
const unexplained = survivors.filter(({ name }) => !known.has(name))
const stale = [...known].filter(
  (name) => files.some((file) => name.startsWith(`${file} `)) && survivors.every((it) => it.name !== name),
)
console.log(`${total} changes, ${total - survivors.length} noticed, ${survivors.length} survived`)
for (const { name } of unexplained) console.log(`not explained in docs/mutation.md: ${name}`)
for (const name of stale) console.log(`noticed, but still in docs/mutation.md: ${name}`)
process.exitCode = unexplained.length + stale.length === 0 ? 0 : 1
