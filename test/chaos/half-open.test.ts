// The link is lost silently: both sides notice in time, again and again, and nothing is left behind.
import {describe} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import type {Child} from '../helpers/child.js';
import {atMost} from '../helpers/metric.js';
import {startPark} from '../helpers/start-park.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record, tcpUpstream} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {countTimers, type Inspection, inspect, type Rig, sized, sleep, startRig} from './rig.js';

/** Dead after 15 s of silence; a busy machine's timers get a second more. */
const foundWithinMs = 16_000;

describe.concurrent('a half-open link', () => {
  test('is noticed on both sides', async ({scope, expect}) => {
    const rig = await startRig(scope);
    const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
    const visitor = await tcpVisitor(scope, ready.tcp?.port ?? 0);
    const heard = record(visitor);
    visitor.write('one');
    await heard.received(3);
    rig.proxy.blackhole('drop');
    const since = performance.now();
    // The relay does not learn that these bytes are lost, either.
    visitor.write('two');
    const foundBy = async (what: Promise<unknown>) => {
      await what;
      return performance.now() - since;
    };
    const [agent, relay] = await Promise.all([
      foundBy(cli.event('reconnecting')),
      foundBy(rig.relay.cli.saidOnStderr(/link lost/)),
    ]);
    expect.soft(atMost('half-open link', 'ms until the agent notices', agent, foundWithinMs)).toBe(true);
    expect.soft(atMost('half-open link', 'ms until the relay notices', relay, foundWithinMs)).toBe(true);
    rig.proxy.restore();
    await heard.received(6);
    expect(heard.data().toString()).toBe('onetwo');
    expect(await cli.event('resumed')).toMatchObject({resumed: 1, lost: 0});
  });

  test('leaves no descriptor or timer behind', async ({scope, expect}) => {
    const agents = 20;
    const rounds = sized(1, 10);
    const rig = await startRig(scope, {env: countTimers});
    // Each agent dials its upstream by a different loopback address.
    const upstream = await tcpUpstream(scope, (socket) => socket.pipe(socket), '0.0.0.0');
    const env = {...rig.env, ...countTimers, TUNL_PARK_TCP: '1'};
    const park = await startPark(scope, {agents, ports: [upstream], env});
    const visitors: ReturnType<typeof record>[] = [];
    for (const {tcp} of park.eventsOf('ready')) {
      visitors.push(record(await tcpVisitor(scope, tcp?.port ?? 0)));
    }
    const answered = async (bytes: number) => {
      for (const {socket} of visitors) socket.write('x');
      await Promise.all(visitors.map((each) => each.received(bytes)));
    };
    // Until then an agent may still have to dial its upstream.
    await answered(1);
    const before = await inspectBoth(rig, park.child);
    for (let round = 0; round < rounds; round += 1) {
      rig.proxy.blackhole('drop');
      await park.heard('reconnecting', agents * (round + 1));
      rig.proxy.restore();
      await park.heard('resumed', agents * (round + 1));
      await answered(round + 2);
    }
    // Sockets that close and their timers take up to 5 s. What is left after that is a leak.
    let after = await inspectBoth(rig, park.child);
    for (const until = performance.now() + 30_000; performance.now() < until && isMore(after, before); ) {
      await sleep(500);
      after = await inspectBoth(rig, park.child);
    }
    const name = `${agents * rounds} half-open links`;
    for (const [i, side] of ['relay', 'agents'].entries()) {
      const [then, now] = [before[i], after[i]];
      if (then === undefined || now === undefined) throw new Error('not inspected');
      expect(then.timers).toBeGreaterThan(0);
      const bytes = now.heapUsed + now.external - then.heapUsed - then.external;
      expect
        .soft(atMost(name, `descriptors more, ${side}`, now.descriptors - then.descriptors, 0))
        .toBe(true);
      expect.soft(atMost(name, `timers more, ${side}`, now.timers - then.timers, 0)).toBe(true);
      expect.soft(atMost(name, `bytes more, ${side}`, bytes, 2 * MiB)).toBe(true);
    }
  });
});

/** Whether either process holds more descriptors or timers than it did. */
const isMore = (now: readonly Inspection[], then: readonly Inspection[]): boolean =>
  now.some(
    ({descriptors, timers}, i) =>
      descriptors > (then[i]?.descriptors ?? 0) || timers > (then[i]?.timers ?? 0),
  );

async function inspectBoth(rig: Rig, park: Child): Promise<Inspection[]> {
  return [await inspect(rig.relay.cli), await inspect(park)];
}
