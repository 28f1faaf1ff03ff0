/** A dashboard in Express 5 that asks half a dozen services, through one helper and client or another. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from 'node:http'
import axios from 'axios'
import express from 'express'
import { BillingClient } from './billing-client.js'
import { MailQueue } from './mail-queue.js'
import { currentWeather, isSiteUp } from './weather-client.js'

export interface Sources {
  readonly weather: number
  readonly avatars: number
  readonly billing: number
  readonly mail: number
  readonly secure: number
}

export function startDashboard(sources: Sources): Server {
  const app = express()
  const billing = new BillingClient(sources.billing)
  const mails = new MailQueue(sources.mail)
  void mails.work()

  app.get('/weather/:city', async (req, res) => {
    res.json({ ok: await currentWeather(sources.weather, req.params.city) }) // leaks: fetch-weather
  })

  app.get('/avatars/:id', async (req, res) => {
    await sleep(5)
    const url = `http://127.0.0.1:${sources.avatars}/img/${req.params.id}`
    const avatar = await axios.get(url, { responseType: 'stream' }) // leaks: axios-avatar
    res.json({ type: String(avatar.headers['content-type']) })
  })

  app.get('/invoices/:id', (req, res, next) => {
    billing
      .login()
      .then((session) => session.invoice(req.params.id)) // leaks: billing-invoice
      .then((status) => res.json({ status }))
      .catch(next)
  })

  app.post('/mails', (_req, res) => {
    mails.add('welcome')
    res.sendStatus(202)
  })

  app.get('/status/:site', async (req, res) => {
    res.json({ up: await isSiteUp(sources.secure, req.params.site) }) // leaks: https-status
  })
  return app.listen(0, '127.0.0.1')
}
