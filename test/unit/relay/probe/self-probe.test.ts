// What a relay says about its own reachability after a row of probes: changes alone, and only when two results agree.

import {expect, test} from 'vitest';
import type {ProbeEnd} from '../../../../src/lib/carrier/probe.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {OwnTunnel} from '../../../../src/lib/relay/probe/own-tunnel.js';
import {SelfProbe} from '../../../../src/lib/relay/probe/self-probe.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const good: ProbeEnd = {ok: true, ms: {dns: 1, tcp: 1, tls: 4, session: 3}};
const bad = (leg: 'dns' | 'tcp' | 'tls' | 'session'): ProbeEnd => ({
  ok: false,
  leg,
  reason: `no ${leg}`,
  ms: {dns: 1},
});

class World {
  readonly clock = new ManualClock();
  readonly events: RelayEvent[] = [];
  readonly waits: number[] = [];
  claims = 0;
  isListening = true;
  /** The same probe at the relay's own port. */
  inside: ProbeEnd = good;
  readonly results: ProbeEnd[] = [];
  readonly self = new SelfProbe({
    tunnel: new OwnTunnel({domain: 'r1.test', publicPort: () => 443, clock: this.clock}),
    dial: {name: async (_host, {inside}) => (inside ? this.inside : (this.results.shift() ?? good))},
    isListening: () => this.isListening,
    claim: async () => {
      this.claims += 1;
    },
    events: {emit: (event) => this.events.push(event)},
    clock: this.clock,
  });

  /** Each result, and the state after it. */
  async take(results: readonly ProbeEnd[]): Promise<string> {
    const states: string[] = [];
    this.results.push(...results);
    for (const _ of results) {
      const before = this.clock.now();
      while (this.clock.now() < before + 30_000 && this.results.length > results.length - states.length - 1) {
        this.clock.advance(1_000);
        await new Promise(setImmediate);
      }
      const {ok, leg, ready} = this.self.state ?? {};
      states.push(ok ? 'ok' : `${leg}${ready ? ' ready' : ''}`);
    }
    return states.join(', ');
  }
}

test.each<[string, readonly ProbeEnd[], ProbeEnd, string, string[]]>([
  ['all is well', [good, good], good, 'ok, ok', []],
  ['one lost packet changes nothing', [good, bad('tcp'), good], good, 'ok, ok, ok', []],
  [
    'two failures count, and so do two successes',
    [good, bad('tcp'), bad('tcp'), good, good],
    good,
    'ok, ok, tcp, tcp, ok',
    ['probe-failed tcp', 'probe-recovered'],
  ],
  [
    'the name has never been reached from here, and the own port works',
    [bad('tcp'), bad('tcp')],
    good,
    'tcp ready, tcp ready',
    ['probe-failed tcp ready'],
  ],
  ['not even the own port works', [bad('dns'), bad('dns')], bad('session'), 'dns, dns', ['probe-failed dns']],
  ['another server is at the public address', [bad('tls')], good, 'tls', ['probe-failed tls']],
  [
    'the leg changes',
    [bad('dns'), bad('tcp')],
    good,
    'dns ready, tcp ready',
    ['probe-failed dns ready', 'probe-failed tcp ready'],
  ],
])('%s', async (_what, results, inside, states, told) => {
  const world = new World();
  world.inside = inside;
  world.self.start();
  expect(await world.take(results)).toBe(states);
  const said = world.events.map((event) =>
    event.type === 'probe-failed' ? `${event.type} ${event.leg}${event.ready ? ' ready' : ''}` : event.type,
  );
  expect(said).toEqual(told);
  world.self.close();
  expect(world.clock.pending).toBe(0);
});

test('the name is claimed before the first probe, and after a failure', async () => {
  const world = new World();
  world.self.start();
  await world.take([good, good, bad('session'), good, good]);
  expect(world.claims).toBe(2);
});

test('no probe and no alarm before the relay listens: a worker is ready before the others', async () => {
  const world = new World();
  world.isListening = false;
  world.results.push(bad('tcp'));
  world.self.start();
  for (let second = 0; second < 10; second++) {
    world.clock.advance(1_000);
    await new Promise(setImmediate);
  }
  expect([world.results.length, world.claims, world.self.state, world.events]).toEqual([1, 0, undefined, []]);
  world.isListening = true;
  expect(await world.take([bad('tcp')])).toBe('tcp ready');
  world.self.close();
  expect(world.clock.pending).toBe(0);
});
