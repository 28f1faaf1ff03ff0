// Offers to reload after verdict changes. It holds no data, so its hash is constant. The address of the events is made
// from the page's path, because a relative one would drop the prefix `/leaks`. Closing on `pagehide` frees one of the
// browser's few connections to a host.
export const PAGE_SCRIPT = `
(() => {
  'use strict'
  const news = document.getElementById('news')
  if (!news || !window.EventSource || !location.protocol.startsWith('http')) return
  const reload = document.querySelector('.banner a.button').cloneNode(true)
  const words = document.createElement('span')
  const counts = new Map()
  let source = null

  const tell = (event) => {
    counts.set(event.type, (counts.get(event.type) || 0) + 1)
    const list = [...counts].map(([type, count]) => count + ' ' + type).join(', ')
    words.textContent = 'Since this page was made: ' + list + '.'
    if (news.hidden) {
      news.replaceChildren(words, ' ', reload)
      news.hidden = false
    }
  }
  const listen = () => {
    source = new EventSource(location.origin + location.pathname.replace(/\\/*$/, '/') + 'events')
    source.addEventListener('open', () => document.documentElement.classList.add('live'))
    source.addEventListener('error', () => document.documentElement.classList.remove('live'))
    for (const type of ['suspect', 'leaked', 'stalled', 'recovered', 'reclaimed', 'dead']) source.addEventListener(type, tell)
  }
  addEventListener('pagehide', () => source && source.close())
  addEventListener('pageshow', (event) => event.persisted && listen())
  listen()
})()
`
