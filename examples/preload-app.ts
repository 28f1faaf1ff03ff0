/** An application that knows nothing of the guard; `preload.ts` starts it. The handler forgets to end its side. */
import net, { type AddressInfo } from 'node:net'

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.resume()
})
server.listen(0, '127.0.0.1', () => {
  console.log((server.address() as AddressInfo).port)
})
