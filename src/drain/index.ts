/** `socket-leak-guard/drain`: the graceful stop of a server, without an adapter. */
export { drainServer } from './drain.js'
export { drainHttpServer } from './http.js'
export type { DrainOptions, DrainResult } from './drain.js'
