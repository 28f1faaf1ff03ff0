// System calls through koffi, an optional package with native code. Loading takes 10 to 130 ms and 3 to 10 MB, so it
// waits for the first question. It is not used in worker threads, because `worker.terminate()` during `koffi.load()` or
// `lib.func()` aborts the process, and never through koffi.node.poll, which swallows exceptions and can abort too.

// Linux's numbers (asm-generic, include/uapi/linux/tcp.h); see `GENERIC_MACHINES`.
export const EINTR = 4
export const EINPROGRESS = 115
export const AF_INET = 2
export const SOCK_STREAM = 1
export const SOCK_NONBLOCK = 0x800
export const SOCK_CLOEXEC = 0x80000
export const SHUT_WR = 1
export const SOL_SOCKET = 1
export const SO_KEEPALIVE = 9
export const SO_LINGER = 13
export const IPPROTO_TCP = 6
export const TCP_KEEPIDLE = 4
export const TCP_KEEPINTVL = 5
export const TCP_KEEPCNT = 6
export const TCP_INFO = 11
export const TCP_USER_TIMEOUT = 18
export const SIOCINQ = 0x541b
export const SIOCOUTQ = 0x5411
export const POLLIN = 0x1
export const POLLOUT = 0x4
export const POLLHUP = 0x10
export const POLLNVAL = 0x20
export const POLLRDHUP = 0x2000
export const TCP_INFO_BYTES = 256

export interface Libc {
  poll(fds: Uint8Array, count: number, timeoutMs: number): number
  getsockopt(fd: number, level: number, name: number, value: Uint8Array, length: Int32Array): number
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number
  ioctl(fd: number, request: number, value: Uint8Array): number
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array, length: number): number
  listen(fd: number, backlog: number): number
  getsockname(fd: number, address: Uint8Array, length: Int32Array): number
  connect(fd: number, address: Uint8Array, length: number): number
  accept(fd: number, address: null, length: null, flags: number): number
  shutdown(fd: number, how: number): number
  close(fd: number): number
  errno(): number
}

export type Load = ((id: string) => unknown) & { readonly resolve: (id: string) => string }

export interface LoadOptions {
  readonly load?: Load
  readonly arch?: string
  readonly isMainThread?: boolean
}

interface Koffi {
  load(path: null): KoffiLibrary
  errno(): number
}
interface KoffiLibrary {
  func(name: string, result: string, parameters: string[]): (...args: unknown[]) => number
  func(declaration: string): (...args: unknown[]) => number
}

/** Machines with asm-generic numbers for socket options, ioctl and poll. mips and ppc64 differ. */
const GENERIC_MACHINES: readonly string[] = ['x64', 'arm64', 'arm', 'ia32', 'riscv64', 'loong64', 's390x']

export function whyNoFfi(options: LoadOptions = {}): string | null {
  const arch = options.arch ?? process.arch
  if (!GENERIC_MACHINES.includes(arch)) return `unavailable on ${arch}`
  if (!(options.isMainThread ?? process.getBuiltinModule('node:worker_threads').isMainThread)) {
    return 'not used in a worker thread'
  }
  try {
    loaderOf(options).resolve('koffi')
    return null
  } catch {
    return 'the optional package koffi is not installed'
  }
}

export function loadLibc(options: LoadOptions = {}): Libc {
  const impossible = whyNoFfi(options)
  if (impossible !== null) throw new Error(impossible)
  try {
    return bindLibc(loaderOf(options)('koffi') as Koffi)
  } catch (error) {
    throw new Error(`koffi can't be loaded (${describeLoadError(error)})`, { cause: error })
  }
}

function loaderOf(options: LoadOptions): Load {
  return options.load ?? process.getBuiltinModule('node:module').createRequire(import.meta.url)
}

function describeLoadError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? `${String(error.code)}: ` : ''
  return code + (error.message.split('\n')[0] ?? '')
}

function bindLibc(koffi: Koffi): Libc {
  const libc = koffi.load(null)
  const ioctl = libc.func('int ioctl(int fd, unsigned long request, ...)')
  return {
    poll: libc.func('poll', 'int', ['void *', 'unsigned long', 'int']),
    getsockopt: libc.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']),
    setsockopt: libc.func('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'unsigned int']),
    ioctl: (fd, request, value) => ioctl(fd, request, 'void *', value),
    socket: libc.func('socket', 'int', ['int', 'int', 'int']),
    bind: libc.func('bind', 'int', ['int', 'void *', 'unsigned int']),
    listen: libc.func('listen', 'int', ['int', 'int']),
    getsockname: libc.func('getsockname', 'int', ['int', 'void *', 'void *']),
    connect: libc.func('connect', 'int', ['int', 'void *', 'unsigned int']),
    accept: libc.func('accept4', 'int', ['int', 'void *', 'void *', 'int']),
    shutdown: libc.func('shutdown', 'int', ['int', 'int']),
    close: libc.func('close', 'int', ['int']),
    errno: () => koffi.errno(),
  }
}

/** An array of `struct pollfd` (8 bytes: fd i32, events i16, revents i16). */
export interface PollList {
  readonly bytes: Uint8Array
  set(index: number, fd: number, events: number): void
  revents(index: number): number
}

export function createPollList(capacity: number): PollList {
  const bytes = new Uint8Array(capacity * 8)
  const fds = new Int32Array(bytes.buffer)
  const halves = new Int16Array(bytes.buffer)
  return {
    bytes,
    set(index, fd, events) {
      fds[index * 2] = fd
      halves[index * 4 + 2] = events
      halves[index * 4 + 3] = 0
    },
    revents: (index) => halves[index * 4 + 3]!,
  }
}
