/** Error codes are API (docs/errors.md). A message names the option, what was expected and what came. */
export type ErrorCode =
  | 'SLG_ERR_UNKNOWN_OPTION'
  | 'SLG_ERR_INVALID_OPTION'
  | 'SLG_ERR_INVALID_ENV'
  | 'SLG_ERR_ALREADY_INSTALLED'
  | 'SLG_ERR_UNINSTALLED'
  | 'SLG_ERR_UNSUPPORTED_NODE'
  | 'SLG_ERR_WRONG_SERVER'
  | 'SLG_ERR_NOT_A_SOCKET'
  | 'SLG_ERR_NO_SUCH_SOCKET'
  | 'SLG_ERR_MISSING_PEER'
  | 'SLG_ERR_REPORT_LISTEN'
  | 'SLG_ERR_REPORT_NEEDS_TOKEN'
  | 'SLG_ERR_SAVE_REPORT'
  | 'SLG_ERR_LEAKS_FOUND'

export class SocketLeakGuardError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  static {
    this.prototype.name = 'SocketLeakGuardError'
  }
}

// A value for an error message: short, with its type, without an object's contents. Never throws.
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return `${JSON.stringify(shortened(value))} (string)`
  if (value === null || value === undefined) return String(value)
  if (typeof value !== 'object' && typeof value !== 'function')
    return `${shortened(String(value))} (${typeof value})`
  try {
    if (typeof value === 'function') return `function ${shortened(value.name) || '(anonymous)'}`
    return `${Array.isArray(value) ? 'array' : shortened(value.constructor?.name ?? 'object')} (object)`
  } catch {
    // A getter that throws, a name that is not a string, a revoked proxy.
    return typeof value
  }
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** For adapters: the argument is not the kind of server this adapter guards. */
export function wrongServer(expected: string, got: unknown): SocketLeakGuardError {
  return new SocketLeakGuardError(
    'SLG_ERR_WRONG_SERVER',
    `server must be ${expected}, got ${describeValue(got)}`,
  )
}

export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
