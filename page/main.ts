// Keeps the page that the server has written as the process is: it asks for the same page again, and morphs. A saved page has
// its charts alone. The token is held in memory: nothing else of this origin can read it, and a reload asks for it again.
import { drawCharts, redrawCharts } from './charts.js'
import { listenForDeeds } from './deeds.js'
import { createFeed } from './feed.js'
import { morph } from './morph.js'

const REFRESH_MS = 10_000
/** Looking takes a twentieth of the time at the most. */
const REST = 20
const SOON_MS = 500
const LONGEST_ANSWER_MS = 20_000
/** Under a storm of events, so that looking costs the process little. */
const LEAST_PAUSE_MS = 3000

let token = ''
let isPaused = false
let isLost = false
let asOf = new Date()
let refreshedMs = 0
let tookMs = 0
let timer = 0
/** The latest question; earlier answers come too late. */
let asked = 0
let fellOn: string | null = null

function request(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = new Headers(options.headers)
  if (token !== '') headers.set('authorization', `Bearer ${token}`)
  // A relative address would lose the last part of `/leaks`.
  return fetch(location.pathname.replace(/\/*$/, '/') + path, { cache: 'no-store', ...options, headers })
}

async function refresh(): Promise<void> {
  clearTimeout(timer)
  asked += 1
  const mine = asked
  const begunMs = performance.now()
  try {
    const search = new URLSearchParams(location.search)
    search.set('format', 'html')
    const response = await request(`?${search}`, {
      headers: { accept: 'text/html' },
      signal: AbortSignal.timeout(LONGEST_ANSWER_MS),
    })
    const text = await response.text()
    if (mine !== asked) return
    if (response.headers.get('content-type')?.startsWith('text/html') !== true) throw new Error(text)
    asOf = new Date()
    show(new DOMParser().parseFromString(text, 'text/html'))
    onConnected(true)
  } catch {
    if (mine === asked) onConnected(false)
  }
  refreshedMs = performance.now()
  tookMs = refreshedMs - begunMs
  plan(Math.max(REFRESH_MS, REST * tookMs))
}

function plan(ms: number): void {
  clearTimeout(timer)
  if (!isPaused && !document.hidden && isReport()) timer = setTimeout(() => void refresh(), ms)
}

function isReport(): boolean {
  return document.getElementById('sign-in') === null
}

function show(page: Document): void {
  const before = document.body.dataset.process
  document.title = page.title
  morph(document.body, page.body)
  const now = document.body.dataset.process
  if (before !== undefined && now !== undefined && before !== now) fellOn = before
  drawCharts()
  tell()
}

/** Says how fresh the page is. */
function tell(): void {
  const place = document.getElementById('link')
  if (place === null) return
  const time = `${asOf.toISOString().slice(11, 19)} UTC`
  const state = isLost ? 'lost' : isPaused ? 'paused' : 'live'
  document.documentElement.dataset.link = state
  const words = {
    lost: `The connection to the process is lost. This is how it was at ${time}; trying again.`,
    paused: `Paused at ${time}.`,
    live: 'Live.',
  }[state]
  const text = `${words}${fellOn === null ? '' : ` This is another process than before (that was pid ${fellOn.split(' ')[0]}).`}`
  // A screen reader reads each change.
  if (place.textContent !== text) place.textContent = text
  const pause = document.getElementById('pause') as HTMLButtonElement
  pause.hidden = false
  pause.setAttribute('aria-pressed', String(isPaused))
}

function onConnected(isConnected: boolean): void {
  isLost = !isConnected
  tell()
}

const feed = createFeed({
  request,
  onConnected(isConnected) {
    // Only the page itself proves that the connection is back.
    if (isConnected) return plan(0)
    // What is on its way was written before.
    asked += 1
    onConnected(false)
    plan(SOON_MS)
  },
  onEvent() {
    const pauseMs = Math.max(LEAST_PAUSE_MS, REST * tookMs)
    plan(Math.max(SOON_MS, refreshedMs + pauseMs - performance.now()))
  },
})

function run(): void {
  if (isPaused || document.hidden || !isReport()) {
    feed.stop()
    clearTimeout(timer)
  } else feed.start()
  tell()
}

async function visit(search: string): Promise<void> {
  history.pushState(null, '', search)
  await arrive()
}

async function arrive(): Promise<void> {
  await refresh()
  const filters = document.getElementById('filters')
  if (filters instanceof HTMLFormElement) filters.reset()
  run()
}

function onClick(event: MouseEvent): void {
  const target = event.target as Element
  if (target.id === 'pause') {
    isPaused = !isPaused
    run()
    if (!isPaused) void refresh()
  }
  const link = target.closest('a')
  const href = link?.getAttribute('href') ?? ''
  const isOurs = href.startsWith('?format=html') && !event.metaKey && !event.ctrlKey && !event.shiftKey
  if (!isOurs) return
  event.preventDefault()
  void visit(href).then(() => {
    const isPage = link!.closest('nav') !== null
    if (isPage) document.getElementById('sockets')?.scrollIntoView()
  })
}

async function onSubmit(event: SubmitEvent): Promise<void> {
  event.preventDefault()
  const form = event.target as HTMLFormElement
  if (form.id === 'sign-in') {
    token = (document.getElementById('token') as HTMLInputElement).value.trim()
    await arrive()
    const wrong = document.getElementById('wrong')
    if (wrong !== null) wrong.hidden = false
    return
  }
  const fields = [...new FormData(form)].filter(([, value]) => value !== '') as [string, string][]
  await visit(`?${new URLSearchParams(fields)}`)
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawCharts)
drawCharts()
if (document.documentElement.hasAttribute('data-live') && location.protocol.startsWith('http')) {
  document.addEventListener('click', onClick)
  document.addEventListener('submit', (event) => void onSubmit(event))
  addEventListener('popstate', () => void arrive())
  addEventListener('pagehide', () => feed.stop())
  addEventListener('pageshow', (event) => event.persisted && run())
  document.addEventListener('visibilitychange', () => {
    run()
    if (!document.hidden && !isPaused && isReport()) void refresh()
  })
  listenForDeeds({ request, refresh })
  run()
}
