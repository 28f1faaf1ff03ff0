/** An Express 4 application of some age: http-proxy for the old shop, everything in one file. */
import { createRequire } from 'node:module'
import type { Server } from 'node:http'
import type express from 'express'
import httpProxy from 'http-proxy'

const express4 = createRequire(import.meta.url)('express4') as typeof express

export interface Backends {
  readonly shop: number
  readonly cart: number
}

export function startLegacy(backends: Backends): Server {
  const app = express4()
  const proxy = httpProxy.createProxyServer()
  const failures: Error[] = []
  proxy.on('error', (error) => failures.push(error))

  const carts = express4.Router()
  carts.get('/:id/items', (req, res) => {
    proxy.web(req, res, { target: `http://127.0.0.1:${backends.cart}` }) // leaks: legacy-cart
  })
  app.use('/carts', carts)

  app.get('/shop/*', (req, res) => {
    setTimeout(() => {
      proxy.web(req, res, { target: `http://127.0.0.1:${backends.shop}` }) // leaks: legacy-shop
    }, 5)
  })
  return app.listen(0, '127.0.0.1')
}
