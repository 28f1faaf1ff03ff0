// Loaded by `import()`, so that the bundle has it once for the endpoint and for here, in a chunk that the preload does not load.
export { renderHtml } from '../src/report/html.js'
export { renderJson } from '../src/report/json.js'
export { renderText } from '../src/report/text.js'
