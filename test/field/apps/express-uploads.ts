/** Where users leave their files. Some handlers forget that somebody has to read them. */
import { createWriteStream } from 'node:fs'
import http, { type Server } from 'node:http'
import https from 'node:https'
import express, { Router, type NextFunction, type Request, type Response } from 'express'

/** The session store never answers. */
function requireSession(_req: Request, _res: Response, next: NextFunction): void {
  void new Promise<void>(() => {}).then(() => next())
}

function uploads(): express.Express {
  const app = express()
  const users = Router({ mergeParams: true })
  users.post('/avatar', async (req, res) => {
    await findUser(req.params)
    res.status(202)
  })
  app.use('/users/:id', users)

  app.use('/admin', requireSession)
  app.put('/admin/backups/:name', (req, res) => {
    req.resume().on('end', () => res.end())
  })

  app.post('/documents/:id/scan', (req) => {
    req.pipe(createWriteStream('/dev/full')).on('error', () => {}) // leaks: upload-scan
  })

  app.get('/health', (_req, res) => {
    res.send('ok')
  })
  app.post('/imports/:kind', (req) => {
    req.pause() // leaks: upload-after-health
  })
  app.get('/exports/:kind', (_req, res) => {
    res.end(Buffer.alloc(12_000_000, 'x')) // leaks: export-unread
  })
  return app
}

async function findUser(_params: unknown): Promise<void> {
  await new Promise(() => {})
}

export function startUploads(): Server {
  return http.createServer(uploads()).listen(0, '127.0.0.1')
}

export function startSecureUploads(certificate: { key: Buffer; cert: Buffer }): https.Server {
  return https.createServer(certificate, uploads()).listen(0, '127.0.0.1')
}
