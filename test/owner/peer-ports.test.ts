import t from 'tap'
import { PeerPorts } from '../../src/owner/peer-ports.js'

const at = (port: number | null, address = '10.0.0.5') => ({ address, port })

t.test('three short-lived ports of a host have names, with the fourth all are one', async (t) => {
  const ports = new PeerPorts()
  for (const port of [40_001, 40_002, 40_003, 40_003]) {
    ports.note(at(port))
    t.equal(ports.name(at(port)), `10.0.0.5:${port}`)
  }
  ports.note(at(40_004))
  for (const port of [40_001, 40_004, 60_999]) t.equal(ports.name(at(port)), '10.0.0.5:*')
  t.equal(ports.name(at(40_001, '10.0.0.6')), '10.0.0.6:40001', 'another host has its own')
  t.equal(ports.name(at(443)), '10.0.0.5:443', 'a service stays')
})

t.test('services of one host are never one', async (t) => {
  const ports = new PeerPorts()
  for (const port of [80, 443, 3306, 5432, 6379, 8080, 27_017, 30_080]) ports.note(at(port))
  t.equal(ports.name(at(443)), '10.0.0.5:443')
  t.equal(ports.name(at(40_001)), '10.0.0.5:40001')
})

t.test('addresses of IPv6, and paths', async (t) => {
  const ports = new PeerPorts()
  for (let port = 40_001; port < 40_010; port += 1) ports.note(at(port, '::1'))
  for (let count = 0; count < 10; count += 1) ports.note(at(null, `/run/${count}`))
  t.equal(ports.name(at(40_001, '::1')), '[::1]:*')
  t.equal(ports.name(at(null, '/run/1')), '/run/1')
})

t.test('what is kept is bounded', async (t) => {
  const ports = new PeerPorts()
  for (let port = 40_001; port < 40_005; port += 1) ports.note(at(port, 'first'))
  t.equal(ports.name(at(40_001, 'first')), 'first:*')
  for (let host = 0; host < 1000; host += 1) ports.note(at(40_001, `host-${host}`))
  t.equal(ports.name(at(40_001, 'first')), 'first:40001', 'the oldest is forgotten')
})
