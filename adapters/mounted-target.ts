/** The report below a wildcard route: what of the request's target is the report's own. */
import type { IncomingMessage } from 'node:http'

/**
 * The request as the report shall see it. Node's own is left as it is, for whoever logs it afterwards.
 *
 * @param path below the mount
 */
export function withTarget(request: IncomingMessage, path: string): IncomingMessage {
  const target = request.url ?? ''
  const query = target.indexOf('?')
  const url = path + (query === -1 ? '' : target.slice(query))
  return Object.create(request, { url: { value: url } }) as IncomingMessage
}

/** @param rest what a wildcard has matched; nothing where there is none, or it matched nothing */
export function wildcardTarget(rest: unknown): string {
  return typeof rest === 'string' ? `/${rest.replace(/^\/+/, '')}` : '/'
}
