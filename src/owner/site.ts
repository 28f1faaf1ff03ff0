const UUID = /[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/gi
const AUTHORITY = /^[a-z][a-z\d+.-]*:\/\/[^/]*/i
const SEPARATOR = /((?:[-_.~,;=@+!:]|%[\da-f]{2})+)/i
const ID = ':id'

/** `/item/1000/photo` -> `/item/:id/photo`, `/report-2024-03-01.pdf` -> `/report-:id.pdf` */
export function foldPath(path: string): string {
  const authority = AUTHORITY.exec(path)?.[0] ?? ''
  return authority + path.slice(authority.length).split('/').map(foldSegment).join('/')
}

export function foldName(name: string): string {
  const [, method, path] = /^([A-Z]+) (\/.*)$/s.exec(name) ?? []
  return path === undefined ? name : `${method} ${foldPath(path)}`
}

function foldSegment(segment: string): string {
  const named = segment.replace(UUID, ID)
  if (isRandom(named.replace(/[-_]/g, ''))) return ID
  const parts = named.split(SEPARATOR)
  return parts
    .map((part, at) => (at % 2 === 0 && isId(part) ? ID : part))
    .join('')
    .replace(/:id(?:[-_.~,;=@]+:id)+/g, ID)
}

function isId(text: string): boolean {
  return /^\d+$/.test(text) || (/^[\da-f]{8,}$/i.test(text) && /\d/.test(text)) || isRandom(text)
}

function isRandom(text: string): boolean {
  if (text.length < 8 || !/^[a-z\d]+$/i.test(text)) return false
  return (text.match(/\d(?=[a-z])|[a-z](?=\d)/gi)?.length ?? 0) >= 3
}
