// A libp2p node that is not ours (js-libp2p): gets a presence record from one node and stores it on another, reaches a
// client through a super-peer's relay, and is reached through it.
//
// usage: libp2p_peer.mjs FROM TO CLIENT KEY...    multiaddresses with /p2p/ID, a node id, keys in hexadecimal

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { serviceCapabilities } from '@libp2p/interface'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const [from, to, client, ...keys] = process.argv.slice(2)
const PATIENCE_MS = 20_000
const say = (...words) => console.log(words.join(' '))
const hex = (bytes) => Buffer.from(bytes).toString('hex')

// Its Kademlia pings whom it meets, and our nodes keep no ping protocol: that they are connected has to do.
const withoutPing = () => ({ [serviceCapabilities]: ['@libp2p/ping'], ping: async () => 1 })

function start(listen = []) {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify(),
      ping: withoutPing,
      dht: kadDHT({
        protocol: '/twocans/kad/1',
        clientMode: true,
        peerInfoMapper: passthroughMapper,
        validators: { tc1: async () => {} },
        selectors: { tc1: () => 0 },
      }),
    },
  })
}

// Connected, and known to the routing table.
async function enter(node, address) {
  await node.dial(multiaddr(address), { signal: AbortSignal.timeout(PATIENCE_MS) })
  const end = Date.now() + PATIENCE_MS
  while (node.services.dht.routingTable.size === 0) {
    if (Date.now() > end) throw new Error(`${address} does not speak our Kademlia protocol`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function get(node, key) {
  for await (const event of node.services.dht.get(key, { signal: AbortSignal.timeout(PATIENCE_MS) })) {
    if (event.name === 'VALUE') return event.value
  }
}

async function put(node, key, value) {
  let stored = 0
  for await (const event of node.services.dht.put(key, value, { signal: AbortSignal.timeout(PATIENCE_MS) })) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') stored += 1
  }
  return stored
}

// What a node has, asked by somebody who keeps no copies of their own.
async function held(address, key) {
  const node = await start()
  await enter(node, address)
  const value = await get(node, key).catch(() => undefined)
  await node.stop()
  return value
}

const reader = await start()
await enter(reader, from)
const writer = await start()
await enter(writer, to)
for (const text of keys) {
  const key = Buffer.from(text, 'hex')
  const value = await get(reader, key).catch(() => undefined)
  if (value === undefined) {
    say('missing', text)
    continue
  }
  say('got', text, value.length)
  const forged = Uint8Array.from(value)
  forged[forged.length - 1] ^= 1
  await put(writer, key, forged).catch(() => 0)
  // The library answers before the node has judged, so what counts is what can be got.
  say('forged', (await held(to, key)) === undefined ? 'is gone' : 'is kept')
  say('stored', await put(writer, key, value))
  say('same', hex((await held(to, key)) ?? []) === hex(value))
}

const circuit = multiaddr(`${from}/p2p-circuit/p2p/${client}`)
const stream = await reader.dialProtocol(circuit, '/twocans/call/1', {
  runOnLimitedConnection: true,
  signal: AbortSignal.timeout(PATIENCE_MS),
})
say('circuit', stream.protocol)
await stream.close().catch(() => {})

const reachable = await start([`${from}/p2p-circuit`])
const end = Date.now() + PATIENCE_MS
while (reachable.getMultiaddrs().length === 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50))
const [address] = reachable.getMultiaddrs()
say('reserved', address)
const connection = await writer.dial(address, { signal: AbortSignal.timeout(PATIENCE_MS) })
say('reached', connection.remotePeer.equals(reachable.peerId), connection.remoteAddr)

await Promise.all([reader, writer, reachable].map((node) => node.stop()))
say('done')
process.exit(0)
