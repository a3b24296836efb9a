// A session whose carrier is a stream of another session. The outer one is cut again and again, and the inner one never
// notices.
import {expect} from 'vitest';
import type {Carrier} from '../../src/lib/mux/carrier.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {StreamCarrier} from '../../src/lib/mux/stream-carrier.js';
import {KIND} from '../../src/lib/protocol/wire.js';
import {MiB} from '../helpers/bytes.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {randomFrom} from '../helpers/random.js';
import {test} from '../helpers/test.js';
import type {CuttingCarrier} from '../mux/cutting-carrier.js';
import {MEMORY, WEB_SOCKETS} from '../mux/fabrics.js';
import {Peers} from '../mux/peers.js';
import {StreamEnd} from '../mux/stream-end.js';
import {sized} from './rig.js';

const streams = 16;
const bytesEach = sized(4, 64) * MiB;
const cuts = sized(60, 500);

/** In real use each side is a separate process; here both are in this one. */
const peakLimit = 2 * 200 * MiB;

const held = (): number => {
  const {heapUsed, external} = process.memoryUsage();
  return heapUsed + external;
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test.for([MEMORY, WEB_SOCKETS])(
  'the outer session cut again and again over $name, bulk both ways in the inner one',
  async (fabric, {scope}) => {
    const clock = new ManualClock();
    const timer = setInterval(() => clock.advance(10), 10);
    scope.onEnd(() => clearInterval(timer));
    const random = randomFrom(3);
    const mean = Math.floor((streams * bytesEach) / cuts);

    const offered = Promise.withResolvers<Carrier>();
    const outer = new Peers({
      clock,
      onOpen(_side, stream) {
        stream.accept();
        offered.resolve(new StreamCarrier(stream, {clock}));
      },
    });
    const wires = await fabric.weave(scope, clock);
    let below: CuttingCarrier | undefined;
    const join = async () => {
      const ends = await wires.connect();
      await outer.connect(ends);
      below = random() < 0.5 ? ends.agent : ends.relay;
    };
    await join();

    const ends: StreamEnd[] = [];
    const inner = new Peers({
      clock,
      onOpen(side, stream) {
        const end = new StreamEnd(stream, {side, pool: inner.pools[side]}, false);
        ends.push(end);
        end.accept();
        end.write(bytesEach);
      },
    });
    const through = outer.session('agent').open(KIND.carrier, {});
    if (through === undefined) throw new Error('the outer session takes no stream');
    await inner.connect({agent: new StreamCarrier(through, {clock}), relay: await offered.promise});
    for (let i = 0; i < streams; i += 1) {
      const stream = inner.session('relay').open(KIND.visitor, {}) as Stream;
      const end = new StreamEnd(stream, {side: 'relay', pool: inner.pools.relay}, true);
      ends.push(end);
      end.write(bytesEach);
    }

    const before = held();
    let peak = 0;
    let cut = 0;
    while (cut < cuts && below !== undefined) {
      const mine = below;
      mine.cutAfter(1 + Math.floor(random() * mean * 1.6));
      while (!mine.closed) {
        await turn();
        // The number of bytes before a cut is random: ends that are idle before the last cut write more.
        for (const end of ends) if (end.idle) end.write(mean);
      }
      cut += 1;
      peak = Math.max(peak, held() - before);
      await join();
    }
    for (const end of ends) end.end();
    while (ends.length < 2 * streams || !ends.every((end) => end.over)) await turn();

    const name = `a session inside a session, over ${fabric.name}`;
    expect.soft(ends.flatMap((end) => end.faults).slice(0, 5)).toEqual([]);
    const peerOf = (end: StreamEnd) =>
      ends.find((other) => other.side !== end.side && other.stream.id === end.stream.id);
    const whole = (end: StreamEnd) => end.received >= bytesEach && end.received === peerOf(end)?.written;
    const wrong = ends.filter((end) => !end.closed || !whole(end)).length;
    expect.soft(atMost(name, 'streams lost or changed', wrong, 0)).toBe(true);
    expect.soft(atLeast(name, 'cuts of the outer session', cut, cuts)).toBe(true);
    expect.soft(atMost(name, 'peak bytes held by both sides', peak, peakLimit)).toBe(true);
    expect(inner.detached).toEqual({agent: 0, relay: 0});
    expect([inner.ends, outer.ends]).toEqual([{}, {}]);
  },
);
