import type { Socket } from 'node:net'

/** Answers each line; what to do at the end nobody has thought of. */
export function handleDevice(socket: Socket): void {
  socket.on('error', () => {})
  socket.on('data', (line: Buffer) => {
    // leaks: half-open-device
    socket.write(`ok ${line.length}\n`) // leaks: half-open-device
  })
}
