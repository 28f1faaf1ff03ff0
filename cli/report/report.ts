import type { FleetProcess } from '../../src/fleet/index.js'
import { EXIT, Failure, type Command, type Given } from '../command.js'
import { say } from '../terminal.js'
import { askerOf, PLACE, PLACES, readReport, TOKEN_FLAG } from './ask.js'

export const report: Command = {
  name: 'report',
  operands: PLACE,
  summary: 'Prints the report of a guard that runs with the option report.',
  about: [PLACES],
  flags: {
    json: { type: 'boolean', help: 'print JSON' },
    all: { type: 'boolean', help: 'list healthy sockets too' },
    limit: { type: 'string', value: 'N', help: 'most sockets to list (default 20, with --json 1000)' },
    'max-leaked': { type: 'string', value: 'N', help: 'exit 1 if more leak' },
    token: TOKEN_FLAG,
  },
  least: 1,
  run,
}

async function run(given: Given): Promise<number> {
  const ask = askerOf(given)
  const isJson = given.has('json')
  const most = given.number('max-leaked', Infinity)
  const query = { limit: given.number('limit', isJson ? 1000 : 20, 1), all: given.has('all') ? 1 : 0 }
  const json = isJson || most < Infinity ? await ask({ ...query, format: 'json' }) : null
  say((isJson ? json! : await ask({ ...query, format: 'text' })).trimEnd())
  if (json === null || most === Infinity) return EXIT.fine
  const report = readReport(json, given.operands[0]!)
  if (report.totals.leaked > most) return EXIT.found
  const { processes } = 'processes' in report ? report : { processes: [] }
  const silent = processes.filter(({ totals }) => totals === null)
  if (silent.length === 0) return EXIT.fine
  const [{ process, reason }] = silent as [FleetProcess]
  throw new Failure(`${silent.length} of ${processes.length} processes did not tell: ${process}, ${reason}`)
}
