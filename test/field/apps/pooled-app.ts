/** Two routes that share connections: a database's and an HTTP agent's, opened by the one and used by the other. */
import http, { type Server } from 'node:http'
import express from 'express'
import { Database } from './database.js'

export interface Shared {
  readonly database: number
  readonly agent: number
  readonly fetch: number
}

export function startPooled(shared: Shared): Server {
  const app = express()
  const database = new Database(shared.database)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })

  app.get('/login', async (_req, res) => {
    res.send(await database.query('select session')) // leaks: database-connection
  })
  app.get('/report/:year', async (req, res) => {
    res.send(await database.query(`select everything of ${req.params.year}`)) // leaks: database-connection
  })

  app.get('/ping', (_req, res) => {
    http.get({ host: '127.0.0.1', port: shared.agent, path: '/ping', agent }, (pong) => {
      pong.resume().on('end', () => res.send('pong'))
    })
  })
  app.get('/download/:file', (req, res) => {
    const path = `/files/${req.params.file}`
    http.get({ host: '127.0.0.1', port: shared.agent, path, agent }, (file) => {
      // leaks: agent-download
      res.json({ size: file.headers['content-length'] })
    })
  })

  const kept: Response[] = []
  app.get('/quick', async (_req, res) => {
    res.send(await (await fetch(`http://127.0.0.1:${shared.fetch}/quick`)).text())
  })
  app.get('/catalog/:page', async (req, res) => {
    kept.push(await fetch(`http://127.0.0.1:${shared.fetch}/pages/${req.params.page}`)) // leaks: fetch-catalog
    res.send('kept')
  })
  return app.listen(0, '127.0.0.1')
}
