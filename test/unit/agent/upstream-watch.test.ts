// The watch over the upstream without visitors: its results, and that it makes no needless connections.

import {createServer} from 'node:net';
import {describe, expect} from 'vitest';
import type {UpstreamEvent} from '../../../src/lib/agent/events.js';
import {UpstreamWatch} from '../../../src/lib/agent/upstream-watch.js';
import {listenStateOf, TcpUpstream} from '../../../src/lib/agent/upstreams/tcp.js';
import type {ListenState} from '../../../src/lib/agent/upstreams/upstream.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** A watch whose checks are answered by `world`, and whose timers the test moves. */
function setUp(watching: boolean, looksFirst = watching) {
  const clock = new ManualClock();
  const events: Omit<UpstreamEvent, 'type' | 'upstream'>[] = [];
  const silent: string[] = [];
  const world = {listens: 'nobody' as ListenState, dialled: false, dials: 0, looks: 0};
  const watch = new UpstreamWatch({
    label: () => 'localhost:8000',
    looksFirst,
    watching,
    listenState: async () => {
      world.looks += 1;
      return world.listens;
    },
    dial: async () => {
      world.dials += 1;
      return world.dialled ? undefined : new Error('refused');
    },
    onEvent: ({type: _type, upstream: _upstream, ...rest}) => events.push(rest),
    onSilent: (again) => silent.push(again ? 'again' : 'yet'),
    clock,
  });
  /** Lets `ms` pass, with the answers to all checks in that time. */
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 500) {
      clock.advance(500);
      await new Promise(setImmediate);
    }
  };
  return {watch, world, events, silent, pass, clock};
}

describe('a live view', () => {
  test('reports at once that nothing listens, and when something does', async () => {
    const {watch, world, events, silent, pass} = setUp(true);
    watch.begin(false);
    await pass(0);
    await new Promise(setImmediate);
    expect([events, silent]).toEqual([[{answers: false}], ['yet']]);
    await pass(10_000);
    expect(silent).toEqual(['yet']);
    world.listens = 'listening';
    await pass(5_000);
    expect(events).toEqual([{answers: false}, {answers: true, silentMs: expect.any(Number)}]);
  });

  test('makes no connection while the kernel shows a listener, and notices when it is gone', async () => {
    const {watch, world, events, silent, pass} = setUp(true);
    world.listens = 'listening';
    watch.begin(false);
    await pass(60_000);
    expect([events, world.dials]).toEqual([[{answers: true}], 0]);
    world.listens = 'nobody';
    await pass(6_000);
    expect([events.at(-1), silent]).toEqual([{answers: false}, ['again']]);
  });

  test('connects once to a service elsewhere, and not again', async () => {
    const {watch, world, events, pass} = setUp(true);
    world.listens = 'unknown';
    world.dialled = true;
    watch.begin(false);
    await pass(600_000);
    expect([events, world.dials]).toEqual([[{answers: true}], 1]);
  });

  test('a port that the kernel leads elsewhere counts as answering', async () => {
    const {watch, world, events, silent, pass} = setUp(true);
    world.dialled = true;
    watch.begin(false);
    await pass(60_000);
    expect([events, silent, world.dials]).toEqual([[{answers: true}], [], 1]);
  });

  test('does not check while visitors come', async () => {
    const {watch, world, pass} = setUp(true);
    watch.begin(true);
    for (let n = 0; n < 20; n += 1) {
      await pass(2_000);
      watch.visited(true);
    }
    expect(world.looks).toBe(0);
  });
});

describe('a check at the beginning', () => {
  test('finds nothing, reports that once, and reports when something answers', async () => {
    const {watch, world, events, silent, pass} = setUp(false, true);
    watch.begin(false);
    await pass(60_000);
    expect([events, silent]).toEqual([[{answers: false}], ['yet']]);
    world.listens = 'listening';
    await pass(120_000);
    expect(events).toEqual([{answers: false}, {answers: true, silentMs: expect.any(Number)}]);
  });

  test.each([
    ['listening', 0],
    ['unknown', 1],
  ] as const)('is the only one where all is well (%s: %i dials)', async (listens, dials) => {
    const {watch, world, events, silent, pass} = setUp(false, true);
    Object.assign(world, {listens, dialled: true});
    watch.begin(false);
    await pass(600_000);
    expect([events, silent, world.looks, world.dials]).toEqual([[], [], 1, dials]);
  });
});

describe('otherwise', () => {
  test('there is no check until a visitor was refused, then fewer and fewer until it answers', async () => {
    const {watch, world, events, silent, pass} = setUp(false);
    watch.begin(false);
    await pass(600_000);
    watch.visited(true);
    await pass(600_000);
    expect([world.looks, events]).toEqual([0, []]);
    watch.visited(false);
    await pass(600_000);
    expect(world.dials).toBeLessThan(18);
    expect(world.dials).toBeGreaterThan(10);
    world.dialled = true;
    await pass(60_000);
    const {dials} = world;
    await pass(600_000);
    expect(world.dials).toBe(dials);
    expect(events).toEqual([{answers: false}, {answers: true, silentMs: expect.any(Number)}]);
    // The refused visitors were reported already.
    expect(silent).toEqual([]);
  });

  test('leaves no timer behind', async () => {
    const {watch, clock, pass} = setUp(true);
    watch.begin(false);
    await pass(3_000);
    watch[Symbol.dispose]();
    watch.visited(true);
    expect(clock.pending).toBe(0);
  });
});

describe('the kernel’s tables', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1', 'listening'],
    ['0.0.0.0', '127.0.0.1', 'listening'],
    ['::1', 'localhost', 'listening'],
    ['::', '127.0.0.1', 'listening'],
    ['127.0.0.2', 'localhost', 'nobody'],
    ['127.0.0.1', '::1', 'nobody'],
    ['127.0.0.1', '192.0.2.1', 'unknown'],
    ['127.0.0.1', 'example.test', 'unknown'],
  ] as const)('a service on %s, asked for at %s: %s', async (address, host, answer) => {
    const server = createServer();
    const port = await new Promise<number>((resolve) =>
      server.listen(0, address, () => resolve((server.address() as {port: number}).port)),
    );
    try {
      expect(await listenStateOf({host, port})).toBe(answer);
    } finally {
      server.close();
    }
  });

  test('no connection is made', async ({scope}) => {
    let visits = 0;
    const port = await scope.listen(createServer(() => (visits += 1)));
    expect(await listenStateOf({host: 'localhost', port})).toBe('listening');
    expect(visits).toBe(0);
    expect(await new TcpUpstream({host: '127.0.0.1', port}).probe()).toBeUndefined();
    const free = {host: '127.0.0.1', port: await unusedPort()};
    expect(await listenStateOf(free)).toBe('nobody');
    expect(await new TcpUpstream(free).probe()).toMatchObject({code: 'ECONNREFUSED'});
  });
});
