import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { EXIT, Failure, type Command, type Given } from '../command.js'
import { renderText } from '../../src/report/text.js'
import { say } from '../terminal.js'
import { readReport } from './ask.js'

export const explain: Command = {
  name: 'explain',
  operands: 'FILE',
  summary: 'Shows a saved report (JSON), offline; - is the standard input.',
  about: [],
  flags: {
    html: { type: 'boolean', help: 'print one HTML page, without anything from elsewhere' },
    'max-leaked': { type: 'string', value: 'N', help: 'exit 1 if more leaked' },
  },
  least: 1,
  run,
}

async function run(given: Given): Promise<number> {
  const [file = ''] = given.operands
  const most = given.number('max-leaked', Infinity)
  const json = await (file === '-' ? text(process.stdin) : readFile(file, 'utf8')).catch((error: Error) => {
    throw new Failure(error.message)
  })
  const report = readReport(json, file)
  if ('processes' in report && given.has('html')) throw new Failure('there is no page of many processes')
  let shown: string
  try {
    if ('processes' in report) {
      shown = (await import('../../src/fleet/index.js')).renderFleetText(report)
    } else if (given.has('html')) {
      // As the endpoint loads it, so that the bundle has the page once.
      shown = (await import('../../src/report/html.js')).renderHtml(report)
    } else shown = renderText(report)
  } catch {
    throw new Failure(`${file} was written by another version, or is damaged`)
  }
  say(shown.trimEnd())
  return report.totals.leaked > most ? EXIT.found : EXIT.fine
}
