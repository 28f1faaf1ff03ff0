/** What a close frame says, checked before anything is stopped: ws would throw in the middle. */
import { describeValue, invalidOption } from '../src/adapter-kit.js'

/** Going away (RFC 6455, section 7.4.1). */
const GOING_AWAY = 1001

/** What fits into a control frame beside the code (RFC 6455, section 5.5). */
const LONGEST_REASON = 123

export interface CloseFrame {
  readonly code: number
  readonly reason: string
}

/** @throws `SLG_ERR_INVALID_OPTION` */
export function readCloseFrame(options: { readonly code?: unknown; readonly reason?: unknown }): CloseFrame {
  const { code = GOING_AWAY, reason = '' } = options
  if (!isCloseCode(code)) {
    throw invalidOption('code', 'a WebSocket close code that may be sent, such as 1001', describeValue(code))
  }
  if (typeof reason !== 'string' || Buffer.byteLength(reason) > LONGEST_REASON) {
    throw invalidOption('reason', `a string of at most ${LONGEST_REASON} bytes`, describeValue(reason))
  }
  return { code, reason }
}

/** RFC 6455, section 7.4; as ws checks it. */
function isCloseCode(code: unknown): code is number {
  if (!Number.isInteger(code)) return false
  const number = code as number
  return (
    (number >= 1000 && number <= 1014 && ![1004, 1005, 1006].includes(number)) ||
    (number >= 3000 && number <= 4999)
  )
}
