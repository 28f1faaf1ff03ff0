/** An API gateway: what it can't answer itself it passes on to services, each in another of the usual ways. */
import http, { type Server } from 'node:http'
import { pipeline, Transform, type TransformCallback } from 'node:stream'
import express, { Router } from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'

export interface Services {
  readonly orders: number
  readonly files: number
  readonly pages: number
  readonly events: number
}

class Upper extends Transform {
  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    done(null, chunk.toString('latin1').toUpperCase())
  }
}

/** An old friend, copied from one gateway to the next. */
function forward(port: number, req: express.Request, res: express.Response): void {
  const options = { host: '127.0.0.1', port, method: req.method, path: req.originalUrl, headers: req.headers }
  const upstreamReq = http.request(options, (upstreamRes) => {
    // leaks: gateway-files
    res.writeHead(upstreamRes.statusCode ?? 502, upstreamRes.headers)
    upstreamRes.pipe(res) // leaks: gateway-files
  })
  upstreamReq.on('error', () => res.destroy())
  req.pipe(upstreamReq) // leaks: gateway-files
}

export function startGateway(services: Services): Server {
  const app = express()
  app.use(
    '/orders',
    createProxyMiddleware({ target: `http://127.0.0.1:${services.orders}`, changeOrigin: true }), // leaks: gateway-orders
  )

  const files = Router({ mergeParams: true })
  files.all('/:name', (req, res) => forward(services.files, req, res)) // leaks: gateway-files
  app.use('/buckets/:bucket', files)

  app.get('/pages/:slug', (req, res) => {
    const url = `http://127.0.0.1:${services.pages}/render/${req.params.slug}`
    http.get(url, (page) => {
      // leaks: gateway-pages
      pipeline(page, new Upper(), res, () => {}) // leaks: gateway-pages
    })
  })

  app.get('/events', async (_req, res) => {
    await new Promise((resolve) => setTimeout(resolve, 5))
    http.get({ host: '127.0.0.1', port: services.events, path: '/stream' }, (stream) => {
      res.writeHead(200, { 'content-type': 'text/plain' }) // leaks: gateway-events
      stream.on('data', (chunk: Buffer) => res.write(chunk)) // leaks: gateway-events
      stream.on('end', () => res.end()) // leaks: gateway-events
    })
  })
  return app.listen(0, '127.0.0.1')
}
