import { join } from 'node:path'
import t from 'tap'
import { Places, siteOfPlaces } from '../../../src/owner/stacks/places.js'

const APP = '/srv/app/route.js:12:5'
const OTHER = '/srv/app/server.js:3:1'
const DEPENDENCY = `${join('/srv/app', 'node_modules', 'router', 'index.js')}:305:7`

function captured(...places: readonly string[]): Error {
  return { stack: ['Error', ...places.map((place) => `    at handler (${place})`)].join('\n') } as Error
}

function placesOf(error: Error): string[] {
  return new Places().framesOf(error).map(({ file, line, column }) => `${file}:${line}:${column}`)
}

t.test('a stack ends with the outermost frame of the application', async (t) => {
  t.same(placesOf(captured(APP, DEPENDENCY, DEPENDENCY)), [APP], 'a framework has called it')
  t.same(
    placesOf(captured(DEPENDENCY, APP, DEPENDENCY, OTHER, DEPENDENCY)),
    [DEPENDENCY, APP, DEPENDENCY, OTHER],
    'dependencies in between stay',
  )
  t.same(
    placesOf(captured(DEPENDENCY, DEPENDENCY)),
    [DEPENDENCY, DEPENDENCY],
    'there is nothing else to show',
  )
  t.same(placesOf(captured()), [])
})

function inPackage(name: string, line: number): string {
  return `${join('/srv/app', 'node_modules', name, 'index.js')}:${line}:7`
}

t.test('a package that is deeper than a stack may be makes room for the application', async (t) => {
  const deep = Array.from({ length: 60 }, (_, i) => inPackage('deep', i + 1))
  const shown = placesOf(captured(...deep, APP, DEPENDENCY))
  t.equal(shown.length, 10)
  t.equal(shown.at(-1), APP)
  t.equal(siteOf(...deep, APP, DEPENDENCY), '/srv/app/route.js:12')
  const own = Array.from({ length: 20 }, (_, i) => `/srv/app/deep.js:${i + 1}:1`)
  t.same(placesOf(captured(...deep.slice(0, 5), ...own)), own.slice(0, 10))
})

t.test('without a frame of the application the outermost package is named', async (t) => {
  const frames = [
    ...Array.from({ length: 12 }, (_, i) => inPackage('redis', i + 1)),
    inPackage(join('@queue', 'core'), 3),
    inPackage(join('@queue', 'workers'), 4),
    inPackage(join('@queue', 'workers'), 5),
  ]
  t.equal(siteOf(...frames), `${join('/srv/app', 'node_modules', '@queue', 'workers', 'index.js')}:4`)
  t.ok(placesOf(captured(...frames)).includes(frames[13]!))
  t.equal(siteOf(), null)
})

function siteOf(...frames: readonly string[]): string | null {
  return siteOfPlaces(new Places().framesOf(captured(...frames)))
}
