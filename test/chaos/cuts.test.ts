// The link is cut again and again after random byte counts while sixteen visitors send and receive: no byte is lost or
// doubled.
import {expect} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import type {Direction, FaultProxy} from '../helpers/fault-proxy.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {randomFrom} from '../helpers/random.js';
import {test} from '../helpers/test.js';
import {tcpVisitor, tlsVisitor} from '../helpers/visitors.js';
import {exchange, exchangeUpstream} from './exchange.js';
import {sized, startRig} from './rig.js';

const streams = 16;
const mebibytes = sized(8, 64);
const cuts = sized(60, 500);
const peakLimit = 200 * MiB;

/**
 * Cuts at random places, spread over the bytes that are still to come, so that all cuts happen before the transfer ends.
 * While a cut waits for bytes of one direction, the other one may get ahead.
 */
async function cutAtRandom(proxy: FaultProxy, seed: number, over: Promise<unknown>): Promise<void> {
  const random = randomFrom(seed);
  const total = streams * mebibytes * MiB;
  const done = over.then(() => 'over');
  // A direction may end long before the other: a cut would wait there for bytes that never come.
  const left = (direction: Direction) => total - proxy.counters[direction];
  while (proxy.counters.cuts < cuts) {
    const drawn: Direction = random() < 0.5 ? 'up' : 'down';
    const other = drawn === 'up' ? 'down' : 'up';
    // A direction that is nearly done leaves the remaining cuts to the other.
    const direction = left(drawn) > total / cuts || left(drawn) > left(other) ? drawn : other;
    const mean = left(direction) / (cuts - proxy.counters.cuts);
    // From the first byte of the TLS handshake to the middle of the bulk.
    const bytes = 1 + Math.floor(random() * Math.max(1, Math.min(mean * 1.6, left(direction))));
    const cut = proxy.cutAfter(direction, bytes, random() < 0.8 ? 'reset' : 'fin');
    if ((await Promise.race([cut, done])) === 'over') return;
  }
}

test.for(['TLS', 'TCP'] as const)(
  'the link cut again and again during bulk both ways, %s',
  async (kind, {scope}) => {
    const rig = await startRig(scope, {quickRetry: true});
    const port = await exchangeUpstream(scope);
    const {cli: agent, ready} = await rig.expose(port, {flags: kind === 'TCP' ? ['--tcp'] : []});
    const visitor = () =>
      kind === 'TCP'
        ? tcpVisitor(scope, ready.tcp?.port ?? 0)
        : tlsVisitor(scope, ready.tls ?? {host: '', port: 0}, {caFile: rig.caFile});
    const sockets = await Promise.all(Array.from({length: streams}, visitor));
    const exchanges = Promise.allSettled(sockets.map((socket, i) => exchange(socket, i, mebibytes)));
    await cutAtRandom(rig.proxy, kind === 'TCP' ? 2 : 1, exchanges);
    const results = await exchanges;

    const name = `cuts over ${kind}`;
    const resumed = agent.events.filter((event) => event.type === 'resumed');
    const broken = results.filter((each) => each.status === 'rejected' || !each.value.equal);
    expect.soft(broken).toEqual([]);
    expect
      .soft(results.every((each) => each.status === 'fulfilled' && each.value.received === mebibytes * MiB))
      .toBe(true);
    expect.soft(atLeast(name, 'cuts', rig.proxy.counters.cuts, cuts)).toBe(true);
    expect.soft(atMost(name, 'streams lost or changed', broken.length, 0)).toBe(true);
    expect
      .soft(
        atMost(
          name,
          'connections lost',
          resumed.reduce((sum, each) => sum + each.lost, 0),
          0,
        ),
      )
      .toBe(true);
    expect.soft(atMost(name, 'relay peak RSS bytes', rig.relay.cli.peakRssBytes(), peakLimit)).toBe(true);
    expect.soft(atMost(name, 'agent peak RSS bytes', agent.peakRssBytes(), peakLimit)).toBe(true);
  },
);
