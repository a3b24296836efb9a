// Who dials the public name, when the relay is asked as well, and which leg is named at the end.

import {expect, test} from 'vitest';
import {Prober} from '../../../src/lib/agent/prober.js';
import type {PublicSides} from '../../../src/lib/agent/tunnel-requests.js';
import type {ProbeEnd} from '../../../src/lib/carrier/probe.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const failed = (leg: 'dns' | 'tcp' | 'tls' | 'session', reason: string): ProbeEnd => ({
  ok: false,
  leg,
  reason,
  ms: {},
});
const SIDES: PublicSides = {tls: {host: 'demo.r1.test', port: 443}};
const LOCAL: PublicSides = {...SIDES, local: {host: 'localhost', port: 4433}};
const BOTH: PublicSides = {...SIDES, tcp: {host: 'r1.test', port: 20_000}};

/** A stream that brings these bytes to the agent; its fate. */
function bring(prober: Prober, bytes: string): string {
  const fate: string[] = [];
  const stream = {
    sink: undefined as Stream['sink'] | undefined,
    consumed: () => {},
    accept: () => fate.push('accepted'),
    write: (piece: Buffer) => fate.push(piece.toString().trim()),
    end: () => fate.push('ended'),
    refuse: (code: string) => fate.push(code),
  };
  prober.answer(stream as unknown as Stream);
  for (const piece of [bytes.slice(0, 10), bytes.slice(10)]) stream.sink?.onData(Buffer.from(piece));
  return fate.join(' ');
}

/** What each side does: `arrives` at the agent, ends so, does nothing, or cannot be used. */
type Fate = 'arrives' | 'nothing' | 'unusable' | ProbeEnd;

class World {
  readonly clock = new ManualClock();
  readonly dialled: string[] = [];
  readonly asked: object[] = [];
  readonly secrets: string[] = [];
  readonly prober: Prober;

  constructor({own, relay, isOffered = true}: {own: Fate; relay: Fate; isOffered?: boolean}) {
    const play = (fate: Fate, secret: string): Promise<ProbeEnd> => {
      this.secrets.push(secret);
      if (fate === 'arrives') queueMicrotask(() => bring(this.prober, secret));
      return typeof fate === 'object' ? Promise.resolve(fate) : new Promise(() => {});
    };
    this.prober = new Prober({
      clock: this.clock,
      isOffered: () => isOffered,
      dial: ({host, port}, {secret}) => {
        this.dialled.push(`${host}:${port}`);
        return own === 'unusable' ? undefined : play(own, secret);
      },
      ask: (request) => {
        const {secret, ...about} = request as {secret: string};
        this.asked.push(about);
        return relay === 'unusable' ? Promise.reject(new Error('no link')) : play(relay, secret);
      },
    });
  }
}

const dns = failed('dns', 'the name does not resolve');
const tcp = failed('tcp', 'the connection was refused');

test.each<[string, {own: Fate; relay: Fate}, object, number]>([
  ['the own connection arrives', {own: 'arrives', relay: 'nothing'}, {ok: true, by: 'agent'}, 0],
  ['behind a proxy the relay dials', {own: 'unusable', relay: 'arrives'}, {ok: true, by: 'relay'}, 1],
  [
    'the name does not resolve here, and does at the relay',
    {own: dns, relay: 'arrives'},
    {ok: true, by: 'relay'},
    1,
  ],
  ['both fail: the own leg', {own: dns, relay: tcp}, {ok: false, by: 'agent', leg: 'dns'}, 1],
  [
    'behind a proxy, and the relay fails',
    {own: 'unusable', relay: tcp},
    {ok: false, by: 'relay', leg: 'tcp'},
    1,
  ],
  ['the relay cannot be asked', {own: tcp, relay: 'unusable'}, {ok: false, by: 'agent', leg: 'tcp'}, 1],
])('%s', async (_what, fates, expected, asked) => {
  const {prober, asked: requests} = new World(fates);
  expect(await prober.probe(SIDES)).toMatchObject(expected);
  expect(requests).toEqual(Array(asked).fill({service: 'probe', kind: 'tls', host: 'demo.r1.test'}));
});

test('a dial that cannot even begin is a failure, and the relay is asked', async () => {
  const clock = new ManualClock();
  const prober: Prober = new Prober({
    clock,
    isOffered: () => true,
    dial: () => {
      throw new Error('HTTPS_PROXY is not a URL.');
    },
    ask: () => Promise.resolve(failed('dns', 'no name')),
  });
  expect(await prober.probe(SIDES)).toMatchObject({
    ok: false,
    by: 'agent',
    reason: 'HTTPS_PROXY is not a URL.',
  });
  expect(clock.pending).toBe(0);
});

test('a relay that does not know probes is not probed', async () => {
  const world = new World({own: 'arrives', relay: 'arrives', isOffered: false});
  expect(await world.prober.probe(SIDES)).toBeUndefined();
  expect(world.dialled).toEqual([]);
});

test('silence: the relay is asked after a second, and the address waits for four', async () => {
  const world = new World({own: 'nothing', relay: 'nothing'});
  const probed = world.prober.probe(SIDES);
  world.clock.advance(999);
  expect(world.asked).toHaveLength(0);
  world.clock.advance(1);
  expect(world.asked).toHaveLength(1);
  world.clock.advance(3_000);
  expect(await probed).toMatchObject({ok: false, leg: 'session'});
  expect(world.clock.pending).toBe(0);
});

test('a local port is dialled, and no relay is asked about it', async () => {
  const world = new World({own: tcp, relay: 'arrives'});
  expect(await world.prober.probe(LOCAL)).toMatchObject({ok: false, by: 'agent', leg: 'tcp'});
  expect([world.dialled, world.asked]).toEqual([['localhost:4433'], []]);
});

test('a TCP port is dialled by the relay alone, and its failure counts', async () => {
  const world = new World({own: 'arrives', relay: tcp});
  expect(await world.prober.probe(BOTH)).toMatchObject({ok: false, by: 'relay', leg: 'tcp'});
  expect(world.dialled).toEqual(['demo.r1.test:443']);
  expect(world.asked).toEqual([{service: 'probe', kind: 'tcp', port: 20_000}]);
});

test('only a secret that is due counts, and once; no stream stays, and strangers are refused at once when none is', async () => {
  const world = new World({own: 'nothing', relay: 'nothing'});
  const guess = 'a'.repeat(64);
  expect(bring(world.prober, guess)).toBe('CANCELLED');
  const probed = world.prober.probe(SIDES);
  const [secret = ''] = world.secrets;
  expect(bring(world.prober, guess)).toBe('CANCELLED');
  expect(bring(world.prober, secret)).toBe('CANCELLED');
  expect(await probed).toMatchObject({ok: true, by: 'agent'});
});

test('a stranger without a secret is refused after a time', () => {
  const world = new World({own: 'nothing', relay: 'nothing'});
  void world.prober.probe(SIDES);
  const fate: string[] = [];
  const silent = {refuse: (code: string) => fate.push(code)};
  world.prober.answer(silent as unknown as Stream);
  expect(fate).toEqual([]);
  world.clock.advance(5_000);
  expect(fate).toEqual(['CANCELLED']);
});

test('the tunnels of a link are probed four at a time', async () => {
  const world = new World({own: 'nothing', relay: 'nothing'});
  const all = Array.from({length: 6}, () => world.prober.probe(SIDES));
  expect(world.dialled).toHaveLength(4);
  for (const secret of world.secrets.slice(0, 4)) bring(world.prober, secret);
  await Promise.all(all.slice(0, 4));
  await new Promise(setImmediate);
  expect(world.dialled).toHaveLength(6);
});
