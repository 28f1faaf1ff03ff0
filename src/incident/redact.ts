/** Hides what a report says of the application's network, users and machine, so that it can be shown to strangers. */
import { isIP } from 'node:net'

/** Made of other fields of the same object, so what is hidden there is hidden here. */
const TEXTS: ReadonlySet<string> = new Set(['diagnosis', 'line'])
const FRAMES: ReadonlySet<string> = new Set(
  'stack created assigned reader paused wrote ended place where file'.split(' '),
)
const STATES = /^(?:open|paused|closing|closed|unanswered|unreadable)$/

const TOKEN = /[^\s"'()[\],;]+/g
const URL_PARTS = /^([a-z][a-z\d+.-]*:\/\/)([^/]*)(.*)$/is
const HOST_AND_PORT = /^([^:]*\p{L}[^:]*)(:(?:\d+|\*))$/u
const PORT = /:(?:\d+|\*)$/
const FILE = /\.[cm]?[jt]sx?$/
const PLACE = /^\S+\.[cm]?[jt]sx?:\d+$/
const ABSOLUTE = /^(?:[a-z]:)?[/\\]/i
const LOOPBACK = /^(?:127(?:\.\d+){3}|::1|localhost|.*\.localhost)$/i
/** `GET /a`, `upgrade /a`, `CONNECT host:443`, `to host:443`, `listener /run/a.sock`. */
const SITE = /^(\S+) (\S.*)$/s
const VERBS: readonly string[] = ['upgrade', 'to', 'listener']
const PLAIN_SITE = /^(?:outgoing|other|unknown listener|listener (?::[\d*]+|fd \d+))$/

// What stands in texts, with the signs around it, and what is said instead.
type Words = Map<string, string>

/** @returns a function for the parts of one report: everywhere the same is called the same */
export function createRedaction(): <T>(part: T) => T {
  const names = new Map<string, string>()
  const counts = new Map<string, number>()
  const { METHODS } = process.getBuiltinModule('node:http')

  function nameOf(kind: string, hidden: string): string {
    const key = `${kind} ${hidden}`
    let name = names.get(key)
    if (name === undefined) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
      names.set(key, (name = `${kind}-${counts.get(kind)}`))
    }
    return name
  }

  function hideHost(host: string): string {
    const plain = host.replace(/^::ffff:(?=\d+\.)/i, '')
    if (plain === '' || LOOPBACK.test(plain)) return host
    return nameOf(isIP(plain) === 0 ? 'host' : 'ip', plain)
  }

  function hideAuthority(authority: string): string {
    const port = isIP(authority) === 0 ? (PORT.exec(authority)?.[0] ?? '') : ''
    const host = authority.slice(0, authority.length - port.length)
    const inside = /^\[(.*)\]$/s.exec(host)?.[1]
    return (inside === undefined ? hideHost(host) : `[${hideHost(inside)}]`) + port
  }

  function hidePath(path: string): string {
    return path.length > 1 ? `/${nameOf('path', path)}` : path
  }

  function hideTarget(target: string): string {
    const [, scheme, authority = '', path = ''] = URL_PARTS.exec(target) ?? []
    if (scheme !== undefined) return scheme + hideAuthority(authority) + hidePath(path)
    return PORT.test(target) && !/[/\\]/.test(target) ? hideAuthority(target) : hidePath(target)
  }

  function hideSite(site: string, words: Words): string {
    const [opener = '', ...peers] = site.split(' → ')
    return [hideOpener(opener, words), ...peers.map((peer) => note(peer, hideTarget(peer), words))].join(
      ' → ',
    )
  }

  function hideOpener(opener: string, words: Words): string {
    if (PLAIN_SITE.test(opener)) return opener
    if (PLACE.test(opener)) return hideFile(opener)
    const [, verb, target] = SITE.exec(opener) ?? []
    if (verb !== undefined && target !== undefined && (VERBS.includes(verb) || METHODS.includes(verb)))
      return `${verb} ${note(target, hideTarget(target), words)}`
    const said = nameOf('site', opener)
    for (const before of ['of ', '(']) note(before + opener, before + said, words)
    return said
  }

  function hideFile(file: string): string {
    if (URL_PARTS.test(file)) return hideTarget(file)
    return ABSOLUTE.test(file) ? hidePath(file) : file
  }

  function note(original: string, said: string, words: Words): string {
    if (original !== '' && original !== said) words.set(original, said)
    return said
  }

  function hideTokens(text: string): string {
    return text.replaceAll(TOKEN, (token) => {
      const word = token.replace(/[.:]+$/, '')
      return hideWord(word) + token.slice(word.length)
    })
  }

  function hideWord(word: string): string {
    if (isIP(word) !== 0 || isIP(word.replace(PORT, '')) !== 0) return hideAuthority(word)
    if (URL_PARTS.test(word) || ABSOLUTE.test(word)) return hideTarget(word)
    const host = HOST_AND_PORT.exec(word)?.[1]
    return host === undefined || FILE.test(host) ? word : hideAuthority(word)
  }

  function hideInText(text: string, words: Words): string {
    if (words.size === 0) return hideTokens(text)
    const longestFirst = [...words.keys()].sort((a, b) => b.length - a.length)
    const known = new RegExp(longestFirst.map(asWord).join('|'), 'gu')
    let told = ''
    let from = 0
    for (const { 0: original, index } of text.matchAll(known)) {
      told += hideTokens(text.slice(from, index)) + words.get(original)!
      from = index + original.length
    }
    return told + hideTokens(text.slice(from))
  }

  function hideString(key: string, value: string, words: Words): string {
    if (key === 'site' || key === 'server') return hideSite(value, words)
    if (key === 'path' || key === 'origin') return note(value, hideTarget(value), words)
    if (key === 'address') {
      if (ABSOLUTE.test(value)) return note(value, hidePath(value), words)
      return note(`${value}:`, `${hideHost(value)}:`, words).slice(0, -1)
    }
    if (key === 'label') return note(`"${value}"`, `"${nameOf('label', value)}"`, words).slice(1, -1)
    if (FRAMES.has(key)) return hideFile(value.replace(/ - .*$/s, ''))
    return hideInText(value, words)
  }

  function hide(key: string, value: unknown, words: Words): unknown {
    if (typeof value === 'string') return hideString(key, value, words)
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map((part) => hide(key, part, words))
    const parts = Object.entries(value)
    if (key === 'context')
      return Object.fromEntries(
        parts.map(([name, part]) => [name, STATES.test(part) ? part : nameOf('value', part)]),
      )
    const own: Words = parts.some(([name]) => TEXTS.has(name)) ? new Map() : words
    const hidden = new Map<string, unknown>()
    // Texts come last, when the words are known.
    for (const isText of [false, true])
      for (const [name, part] of parts)
        if (TEXTS.has(name) === isText) hidden.set(name, hide(name, part, own))
    return Object.fromEntries(parts.map(([name]) => [name, hidden.get(name)]))
  }

  return (part) => hide('', part, new Map()) as typeof part
}

function asWord(text: string): string {
  const escaped = text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
  return `${/^[\p{L}\p{N}]/u.test(text) ? '(?<![\\p{L}\\p{N}_])' : ''}${escaped}${/[\p{L}\p{N}]$/u.test(text) ? '(?![\\p{L}\\p{N}_])' : ''}`
}
