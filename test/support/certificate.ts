import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const FIXTURES = join(import.meta.dirname, '..', '..', '..', 'test', 'fixtures')

/** A certificate for localhost that nobody trusts and whose key is no secret: for tests only. */
export const CERTIFICATE = {
  key: readFileSync(join(FIXTURES, 'localhost-key.pem')),
  cert: readFileSync(join(FIXTURES, 'localhost-cert.pem')),
}
