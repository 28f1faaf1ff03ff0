import fc from 'fast-check'
import t from 'tap'
import { FORMATS, type Format, negotiateFormat, parseFormat } from '../../src/report/negotiate.js'

const FIREFOX = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'
const CHROME = `${FIREFOX.replace('*/*;q=0.8', 'image/apng,*/*;q=0.8')},application/signed-exchange;v=b3;q=0.7`
const PROMETHEUS_2 =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
const PROMETHEUS_3 =
  'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,' +
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,' +
  'text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1'

t.test('each client gets its format', async (t) => {
  const table: Array<[string | undefined, Format]> = [
    [undefined, 'json'],
    ['', 'json'],
    ['*/*', 'json'],
    [FIREFOX, 'html'],
    [CHROME, 'html'],
    [PROMETHEUS_2, 'prometheus'],
    [PROMETHEUS_3, 'prometheus'],
    ['application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4', 'prometheus'],
    ['text/plain', 'text'],
    ['TEXT/PLAIN; charset=utf-8', 'text'],
    ['text/plain;version="0.0.4"', 'prometheus'],
    ['text/plain;version=1.0.0', 'json'],
    ['application/json', 'json'],
    ['application/json, text/plain, */*', 'json'],
    ['text/html, application/json', 'html'],
    ['application/json, text/html', 'json'],
    ['text/html;q=0.5, application/json;q=0.4', 'html'],
    ['text/html;q=0, */*', 'json'],
    ['application/json;q=0, */*', 'html'],
    ['text/*', 'html'],
    ['text/*;q=0.5, text/plain', 'text'],
    ['*/*, text/plain', 'text'],
    ['application/*', 'json'],
    ['image/png', 'json'],
    ['*/*;q=0', 'json'],
    ['text/html;q=2, text/plain', 'text'],
    ['text/html;q=, text/plain;q=0.1', 'text'],
    [',,;q=1,/,text/,*/html,a/b/c', 'json'],
  ]
  for (const [accept, format] of table) t.equal(negotiateFormat(accept), format, String(accept))
})

t.test('no header breaks it', async (t) => {
  const piece = fc.constantFrom(
    'text',
    'html',
    'plain',
    '*',
    '/',
    ',',
    ';',
    'q',
    '=',
    '0.5',
    '"',
    ' ',
    'version',
    '0.0.4',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      (accept) => FORMATS.includes(negotiateFormat(accept)),
    ),
  )
  t.pass()
})

t.test('the formats that ?format= names', async (t) => {
  for (const format of FORMATS) t.equal(parseFormat(format), format)
  for (const name of ['', 'JSON', 'xml', 'toString']) t.equal(parseFormat(name), null)
})
