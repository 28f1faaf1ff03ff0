import { join } from 'node:path'
import t from 'tap'
import { placesOf as shownPlacesOf } from '../../../src/observe/stacks/places.js'

const APP = '/srv/app/route.js:12:5'
const OTHER = '/srv/app/server.js:3:1'
const DEPENDENCY = `${join('/srv/app', 'node_modules', 'router', 'index.js')}:305:7`

function captured(...places: readonly string[]): Error {
  return { stack: ['Error', ...places.map((place) => `    at handler (${place})`)].join('\n') } as Error
}

function placesOf(error: Error): string[] {
  return shownPlacesOf(error).map(({ file, line, column }) => `${file}:${line}:${column}`)
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
