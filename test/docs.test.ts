/** The documentation says what the code does: tables, codes, names and examples are compared with their sources. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { EXIT } from '../cli/command.js'
import { LINT_RULES, ACTIONS, CONDITIONS, EVENT_TYPES, type Condition } from '../src/core/vocabulary.js'
import { remedyLadder, type Deed } from '../src/judge/policy.js'
import { readEnvironment, variableOf } from '../src/options/env.js'
import { OPTION_NAMES, OPTIONS } from '../src/options/table.js'
import { resolveOptions } from '../src/options/options.js'
import { metricsOf } from '../src/report/metrics.js'
import { readLeakCheckOptions } from '../src/testing/leak-check-options.js'
import { LEAKY } from './report/sample-reports.js'
import { anchorOf, codeBlocksOf, readDocument, sectionsOf, tableRowsOf } from './support/markdown.js'
import { formatDefault, withOptionTable } from './support/option-table-markdown.js'
import { CLI, PACKAGE_ROOT } from './support/package-root.js'
import { runNode } from './support/run-node.js'

const PAGES = readdirSync(join(PACKAGE_ROOT, 'docs'))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`)
const TEXTS = ['README.md', 'SECURITY.md', ...PAGES]

function section(document: string, title: string, level = 2): string {
  const found = sectionsOf(document, level).find((one) => one.title === title)
  if (found === undefined) throw new Error(`there is no section "${title}"`)
  return found.text
}

/** From the first cell, without its link and code marks, to the row. */
function tableOf(text: string): Map<string, string[]> {
  return new Map(tableRowsOf(text).map((cells) => [/`([^`]+)`/.exec(cells[0]!)?.[1] ?? cells[0]!, cells]))
}

t.test('docs/options.md', async (t) => {
  const document = readDocument('docs/options.md')

  t.test('has the table that the code makes', async (t) => {
    t.equal(document, withOptionTable(document), 'if not: npm run docs')
  })

  for (const name of OPTION_NAMES) {
    t.test(`has a section about ${name} with an example`, async (t) => {
      const examples = codeBlocksOf(section(document, `\`${name}\``)).filter(({ info }) => info === 'sh')
      t.ok(
        examples.some(({ code }) => code.startsWith(`${variableOf(name)}=`)),
        variableOf(name),
      )
    })
  }
})

t.test('the table of README.md has every option with its default', async (t) => {
  const rows = tableOf(section(readDocument('README.md'), 'Options'))
  t.same([...rows.keys()].slice(1).sort(), [...OPTION_NAMES].sort())
  for (const name of OPTION_NAMES) t.equal(rows.get(name)?.[1], formatDefault(OPTIONS[name].default), name)
})

t.test('every variable that a page sets would be accepted', async (t) => {
  for (const path of TEXTS) {
    for (const [, name = '', value = ''] of readDocument(path).matchAll(
      /\b(SOCKET_LEAK_GUARD_[A-Z_]+)=([^\s`]+)/g,
    )) {
      const { options, problems } = readEnvironment({ [name]: value })
      t.same(problems, [], `${path}: ${name}=${value}`)
      t.doesNotThrow(() => resolveOptions(options))
    }
  }
})

t.test('docs/errors.md has every code', async (t) => {
  const inCode = ['src/base/errors.ts', 'src/core/vocabulary.ts'].flatMap((path) => [
    ...(readFileSync(join(PACKAGE_ROOT, path), 'utf8').match(/(?<=')SLG_(ERR|WARN)_[A-Z_]+(?=')/g) ?? []),
  ])
  const onPage = [...tableOf(readDocument('docs/errors.md')).keys()].filter((code) => code.startsWith('SLG_'))
  t.same(onPage.sort(), [...new Set(inCode)].sort())
})

t.test('docs/actions.md has the remedies in the order in which they are taken', async (t) => {
  const rows = [...tableRowsOf(section(readDocument('docs/actions.md'), 'Which remedy, in which order'))]
  const [head = [], ...body] = rows
  const seen = new Set<Condition>()
  for (const [conditions = '', ...ladders] of body) {
    for (const [, condition] of conditions.matchAll(/`([^`]+)`/g)) {
      seen.add(condition as Condition)
      for (const action of ACTIONS.filter((word) => word !== 'report')) {
        const said = ladders[head.indexOf(`\`${action}\``) - 1]
        const done = remedyLadder(action, condition as Condition, !conditions.includes('not ended'))
        t.equal(said, done.map(wordsFor).join(' → '), `${conditions}: ${action}`)
      }
    }
  }
  t.same([...seen].sort(), [...CONDITIONS].sort())
})

function wordsFor(deed: Deed): string {
  return { 'resume-end': 'resume and end', 'let-go': 'let go' }[deed as string] ?? deed
}

t.test('docs/report.md', async (t) => {
  const document = readDocument('docs/report.md')

  t.test('has every field of the top level', async (t) => {
    const schema = JSON.parse(readDocument('report.schema.json')) as { properties: object }
    const fields = tableRowsOf(section(document, 'Fields')).flatMap(([names = '']) =>
      [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
    )
    t.same(fields.sort(), Object.keys(schema.properties).sort())
  })

  t.test('has every metric with its labels', async (t) => {
    const made = new Set(
      metricsOf(LEAKY).map(({ name, samples }) => {
        const labels = Object.keys(samples[0]!.labels).join(',')
        return labels === '' ? name : `${name}{${labels}}`
      }),
    )
    const shown = [...tableOf(section(document, 'Metrics')).keys()].filter((name) =>
      name.startsWith('socket_'),
    )
    t.same(shown.sort(), [...made].sort())
  })

  t.test('has every channel', async (t) => {
    const channels = new Set(document.match(/(?<=`)socket-leak-guard:[a-z]+(?=`)/g))
    t.same([...channels].sort(), EVENT_TYPES.map((type) => `socket-leak-guard:${type}`).sort())
  })
})

t.test('docs/lint.md has a section for every rule', async (t) => {
  const titles = sectionsOf(readDocument('docs/lint.md'), 2).map(({ title }) => title)
  t.same(
    titles,
    LINT_RULES.map((rule) => `\`${rule}\``),
  )
})

t.test('docs/testing.md has the options with their defaults', async (t) => {
  const rows = [...tableOf(readDocument('docs/testing.md'))].slice(1)
  const options: Record<string, unknown> = { ...readLeakCheckOptions() }
  t.same(rows.map(([name]) => name).sort(), Object.keys(options).sort())
  for (const [name, cells] of rows)
    if (typeof options[name] !== 'function' && options[name] !== null)
      t.equal(cells[1], formatDefault(options[name]), name)
})

/** What the examples take from the environment. */
const LEAKS_TOKEN = { LEAKS_TOKEN: 'a-long-enough-token' }

t.test('the examples run', async (t) => {
  for (const path of PAGES) {
    for (const [index, { info, code }] of codeBlocksOf(readDocument(path)).entries()) {
      const isNodeTest = info === 'js node-test'
      if (!isNodeTest && !(info === 'js' && /from 'socket-leak-guard'/.test(code))) continue
      const directory = t.testdir({ 'example.mjs': code })
      const args = [...(isNodeTest ? ['--test'] : []), join(directory, 'example.mjs')]
      const { code: exitCode, stdout, stderr } = await runNode(args, { env: LEAKS_TOKEN })
      t.equal(exitCode, 0, `${path}, block ${index}: ${stdout}${stderr}`)
      t.equal(stderr, '')
    }
  }
})

t.test('docs/adapters.md', async (t) => {
  const document = readDocument('docs/adapters.md')
  const { exports } = JSON.parse(readDocument('package.json')) as { exports: Record<string, unknown> }
  const adapters = Object.keys(exports)
    .map((path) => `socket-leak-guard${path.slice(1)}`)
    .filter((specifier) =>
      /^socket-leak-guard\/(?!register|testing|adapter|drain|lint|fleet|prom-client|opentelemetry|.*\.json$)/.test(
        specifier,
      ),
    )

  t.test('and README.md have every adapter', async (t) => {
    const isAdapter = (name: string): boolean => name.startsWith('socket-leak-guard/')
    for (const path of ['docs/adapters.md', 'README.md']) {
      const named = [...tableOf(readDocument(path)).keys()].filter(isAdapter)
      t.same(named.sort(), [...adapters].sort(), path)
    }
  })

  t.test('has an example for each, which stops when it is told to', async (t) => {
    const examples = codeBlocksOf(document).filter(({ info }) => info === 'js')
    t.equal(examples.length, adapters.length)
    const stop = "\nsetTimeout(() => process.emit('SIGTERM'), 100)\n"
    const programs = adapters.map((specifier, i) => {
      const example = examples.find(({ code }) => code.includes(`from '${specifier}'`))
      return { specifier, file: `${i}.mjs`, code: `${example?.code.replaceAll(/\b3000\b/g, '0')}${stop}` }
    })
    const directory = t.testdir(Object.fromEntries(programs.map(({ file, code }) => [file, code])))
    const outcomes = await Promise.all(
      programs.map(({ file }) => runNode([join(directory, file)], { env: LEAKS_TOKEN })),
    )
    for (const [i, { specifier }] of programs.entries()) {
      t.same(outcomes[i], { code: 0, signal: null, stdout: '', stderr: '' }, specifier)
    }
  })

  t.test('shows an adapter in thirty lines that works', async (t) => {
    const [adapter, use] = ['js adapter', 'js uses adapter'].map((wanted) => {
      return codeBlocksOf(document).find(({ info }) => info === wanted)?.code ?? ''
    }) as [string, string]
    t.ok(adapter.trimEnd().split('\n').length <= 30)
    const directory = t.testdir({ 'adapter.mjs': adapter, 'use.mjs': use })
    const outcome = await runNode([join(directory, 'use.mjs')])
    t.same(outcome, { code: 0, signal: null, stdout: '', stderr: '' })
  })
})

t.test('the comparison of README.md is that of docs/comparison.md', async (t) => {
  const [, scenes = '', returns = ''] = readDocument('docs/comparison.md').split('<!-- generated')
  const helps = sectionsOf(readDocument('README.md'), 2).find(({ title }) => title === 'Does it help?')!.text
  const measured = new Map(tableRowsOf(scenes).map(([title, , ...cells]) => [title, cells]))
  const shown = tableRowsOf(helps).slice(1)
  t.ok(shown.length > 5)
  for (const [title = '', named, freed, killed] of shown) {
    const cells = measured.get(title) ?? []
    t.same(
      [named, freed, killed],
      [cells[0], cells[1], cells[3]].map((cell) => cell?.split(' of ')[0]),
      title,
    )
  }

  const lockedOut = [...helps.matchAll(/(bare Node|`\w+`) (\d+)[,.]/g)]
  t.equal(lockedOut.length, 5)
  const lastTable = tableRowsOf(returns.slice(returns.indexOf('resets lost')))
  for (const [, remedy = '', failed] of lockedOut) {
    const title = remedy.replace(/`(\w+)`/, "this library, `action: '$1'`")
    t.equal(lastTable.find(([first]) => first?.startsWith(title))?.at(-1), failed, remedy)
  }
  for (const title of ['time limits', 'setKeepAlive', "socket.on('end'"])
    t.equal(lastTable.find(([first]) => first?.startsWith(title))?.at(-1), '0', title)
  t.match(lastTable.find(([first]) => first?.includes("'report'"))?.at(-2), '1000 (18.5 s)')
})

t.test('docs/cli.md has every command and exit code', async (t) => {
  const { stdout } = await runNode([CLI, '--help'])
  const commands = [...stdout.matchAll(/^  ([a-z]+) .* {2}/gm)].map(([, command]) => command)
  const document = readDocument('docs/cli.md')
  t.same(
    sectionsOf(document, 2).map(({ title }) => title.replaceAll('`', '')),
    commands,
  )
  const codes = new Set([...tableOf(document).keys()].map(Number))
  for (const code of Object.values(EXIT)) t.ok(codes.has(code), String(code))
  for (const command of commands) {
    const { stdout, code } = await runNode([CLI, command!, '--help'])
    t.equal(code, 0)
    t.match(stdout, `socket-leak-guard ${command}`)
  }
})

t.test('the links between the pages lead somewhere', async (t) => {
  for (const path of PAGES) {
    const document = readDocument(path)
    for (const [, target = '', anchor = ''] of document.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
      const file = target === '' ? path : join(dirname(path), target)
      t.ok(existsSync(join(PACKAGE_ROOT, file)), `${path}: ${target}`)
      if (anchor === '' || !existsSync(join(PACKAGE_ROOT, file))) continue
      const headings = [1, 2, 3].flatMap((level) => sectionsOf(readDocument(file), level))
      t.ok(
        headings.some(({ title }) => anchorOf(title) === anchor),
        `${path}: ${target}#${anchor}`,
      )
    }
  }
})
