/** The same mistakes in Fastify and Koa. */
import http, { type Server } from 'node:http'
import Router from '@koa/router'
import fastify, { type FastifyInstance } from 'fastify'
import Koa from 'koa'

/** What is done to an application before it starts, or to its server: the guard's adapter, or nothing. */
export interface Preparations {
  readonly onFastify?: (app: FastifyInstance) => void
  readonly onKoa?: (server: Server, app: Koa) => void
}

export async function startFastify(items: number, { onFastify }: Preparations): Promise<Server> {
  const app = fastify()
  onFastify?.(app)
  app.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null))
  const kept: Response[] = []
  app.get<{ Params: { id: string } }>('/items/:id', async (request) => {
    const item = await fetch(`http://127.0.0.1:${items}/raw/${request.params.id}`) // leaks: fastify-item
    kept.push(item)
    return { status: item.status }
  })
  app.post('/items/:id/photo', async () => new Promise(() => {}))
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server
}

export function startKoa(books: number, { onKoa }: Preparations): Server {
  const app = new Koa()
  const router = new Router()
  router.get('/books/:isbn', async (ctx) => {
    const book = await get(books, `/isbn/${String(ctx['params'].isbn)}`) // leaks: koa-book
    ctx.body = { status: book.statusCode }
  })
  router.put('/books/:isbn/scan', () => new Promise(() => {}))
  app.use(router.routes())
  const server = app.listen(0, '127.0.0.1')
  onKoa?.(server, app)
  return server
}

function get(port: number, path: string): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path }, resolve).on('error', reject) // leaks: koa-book
  })
}
