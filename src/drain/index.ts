export { drainServer } from './drain.js'
export { drainHttpServer } from './http.js'
export type { DrainOptions, DrainResult } from './drain.js'
