/**
 * Linux's numbers for sockets, as asm-generic and include/uapi/linux/tcp.h have them. See `libc.ts` for which
 * machines.
 */

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
export const POLLNVAL = 0x20
export const POLLRDHUP = 0x2000
