// The life of one sandbox over a backend without isolation: states, ends, and that an end settles everything.
import {once} from 'node:events';
import {createServer} from 'node:net';
import {PassThrough, Readable} from 'node:stream';
import {text} from 'node:stream/consumers';
import {describe, expect} from 'vitest';
import type {SandboxInfo, SandboxState} from '../../../src/lib/sandbox/control.js';
import type {SandboxEvent} from '../../../src/lib/sandbox/events.js';
import {SandboxHost} from '../../../src/lib/sandbox/host.js';
import type {HostParts} from '../../../src/lib/sandbox/host-parts.js';
import {readOptions, type SandboxOptions} from '../../../src/lib/sandbox/options.js';
import {Probe} from '../../../src/lib/sandbox/probe.js';
import {FakeBackend} from '../../helpers/fake-sandbox.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const SLEEP = ['sleep', '1000'];
const BORN = 1_000_000;

interface Begun {
  host: SandboxHost;
  backend: FakeBackend;
  clock: ManualClock;
  events: string[];
  changes: SandboxInfo[];
  ends: unknown[];
}

async function begin(
  scope: Scope,
  command: readonly string[],
  {fake = new FakeBackend(), ...options}: SandboxOptions & {fake?: FakeBackend} = {},
  parts: Partial<HostParts> = {},
): Promise<Begun> {
  const clock = new ManualClock();
  const events: string[] = [];
  const changes: SandboxInfo[] = [];
  const ends: unknown[] = [];
  const host = new SandboxHost(readOptions(command, options), {
    own: {
      id: 'sb_aaaaaaaa',
      workFolder: await scope.tempDir('sandbox'),
      change: (info) => changes.push(info),
      end: async (end) => void ends.push(end),
    },
    openBackend: async () => fake,
    clock,
    wall: () => BORN + clock.now(),
    onEvent: (event) => events.push(event.type === 'state' ? event.state : word(event)),
    ...parts,
  });
  scope.onEnd(async () => {
    for (const handle of fake.handles) await handle.destroy();
    await host.terminate();
  });
  return {host, backend: fake, clock, events, changes, ends};
}

function word(event: Exclude<SandboxEvent, {type: 'state'}>): string {
  return event.type === 'ended' ? `ended: ${event.end.reason}` : event.type;
}

/** Moves the clock until `what` has settled. */
async function inTime<T>(clock: ManualClock, stepMs: number, what: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = () => {
    isSettled = true;
  };
  what.then(settled, settled);
  while (!isSettled) {
    clock.advance(stepMs);
    await new Promise(setImmediate);
  }
  return await what;
}

const ended = (reason: string) =>
  expect.objectContaining({code: 'SANDBOX_ENDED', message: expect.stringContaining(`(${reason})`)});

test('a connection that the rules refuse is an event', async ({scope}) => {
  const told: SandboxEvent[] = [];
  const {host, backend} = await begin(
    scope,
    SLEEP,
    {egress: ['a.example:80']},
    {onEvent: (event) => told.push(event)},
  );
  await host.started;
  const refusal = {host: 'b.example', port: 443, why: 'not-allowed', untold: 0} as const;
  backend.lastSpec?.onRefused?.(refusal);
  expect(told.at(-1)).toEqual({type: 'refused', id: 'sb_aaaaaaaa', ...refusal});
});

describe('one reason, told everywhere', () => {
  test('the command exits', async ({scope}) => {
    const {host, events, changes, ends, backend} = await begin(scope, ['sh', '-c', 'exit 3']);
    await host.started;
    const end = {reason: 'exited', code: 3, detail: 'Its command ended with exit code 3.'};
    expect(await host.ended).toEqual(end);
    expect((await host.info()).end).toEqual(end);
    expect(ends).toEqual([end]);
    expect(events.at(0)).toBe('creating');
    expect(events.at(-1)).toBe('ended: exited');
    expect(changes.map(({state}) => state)).not.toContain('ended' satisfies SandboxState);
    expect(backend.handles[0]?.destroyed).toBe(1);
    await expect(host.exec({command: ['true']})).rejects.toEqual(ended('exited'));
    await expect(host.tunnels()).rejects.toEqual(ended('exited'));
    await expect(host.extend(1)).rejects.toEqual(ended('exited'));
    expect(await host.terminate()).toEqual(end);
  });

  test('a signal ends the command', async ({scope}) => {
    const {host} = await begin(scope, ['sh', '-c', 'kill -9 $$']);
    expect(await host.ended).toMatchObject({reason: 'exited', signal: 'SIGKILL'});
  });

  test('the time of its life is over', async ({scope}) => {
    const {host, clock, events} = await begin(scope, SLEEP, {timeoutMs: 60_000});
    await host.started;
    expect(host.snapshot.stopsAt).toBe(BORN + 60_000);
    clock.advance(59_999);
    expect(host.snapshot.state).not.toBe('stopping');
    clock.advance(1);
    expect(host.snapshot.state).toBe('stopping');
    expect(await host.ended).toMatchObject({reason: 'timeout', signal: 'SIGTERM'});
    expect(events).toEqual(['creating', 'running', 'ready', 'stopping', 'ended: timeout']);
  });

  test('nobody uses it; a running exec is use', async ({scope}) => {
    const {host, clock} = await begin(scope, SLEEP, {timeoutMs: 0, idleTimeoutMs: 60_000});
    const run = await host.exec({command: ['sleep', '1000']});
    clock.advance(250_000);
    expect(host.snapshot).toMatchObject({state: 'ready', activity: {source: 'exec', at: BORN + 250_000}});
    await run.signal('SIGKILL');
    expect(await run.exit).toEqual({signal: 'SIGKILL'});
    await Promise.resolve();
    host.stdin.write('something');
    clock.advance(30_000);
    expect(host.snapshot.activity).toEqual({source: 'stdin', at: BORN + 250_000});
    clock.advance(30_000);
    expect(await host.ended).toMatchObject({reason: 'idle'});
  });

  test('nobody uses it; a file is in use from the beginning of its transfer to the end', async ({scope}) => {
    const {host, clock} = await begin(scope, SLEEP, {timeoutMs: 0, idleTimeoutMs: 60_000});
    await host.started;
    const source = new PassThrough();
    const written = host.files.write('f', source);
    source.write('first ');
    clock.advance(250_000);
    expect(host.snapshot).toMatchObject({state: 'ready', activity: {at: BORN + 250_000}});
    source.end('last');
    await written;
    clock.advance(50_000);
    expect(host.snapshot.activity).toMatchObject({at: BORN + 250_000});
    const content = await host.files.read('f');
    clock.advance(250_000);
    expect(host.snapshot).toMatchObject({state: 'ready', activity: {at: BORN + 550_000}});
    expect(await text(content)).toBe('first last');
    await expect(host.files.read('none')).rejects.toThrow('ENOENT');
    await expect(host.files.write('no/f', Readable.from(['x']))).rejects.toThrow('ENOENT');
    expect(host.files.transfers).toBe(0);
    clock.advance(60_000);
    expect(await host.ended).toMatchObject({reason: 'idle'});
  });

  test('it runs out of memory', async ({scope}) => {
    const {host, backend} = await begin(scope, SLEEP);
    await host.started;
    backend.handles[0]?.runOutOfMemory();
    expect(await host.ended).toMatchObject({reason: 'oom'});
  });

  test('its isolation program dies', async ({scope}) => {
    const {host, backend} = await begin(scope, SLEEP);
    await host.started;
    const run = host.exec({command: ['sleep', '1000']});
    await run;
    backend.handles[0]?.lose('init was killed');
    await expect((await run).exit).rejects.toEqual(ended('lost'));
    expect(await host.ended).toEqual({reason: 'lost', detail: 'init was killed'});
  });

  test('the first reason stays, whatever follows', async ({scope}) => {
    const {host, clock, backend} = await begin(scope, SLEEP, {timeoutMs: 1_000});
    await host.started;
    const asked = host.terminate();
    clock.advance(1_000);
    backend.handles[0]?.lose();
    expect(await asked).toMatchObject({reason: 'terminated'});
    expect(await host.ended).toMatchObject({reason: 'terminated'});
  });

  test('its caller aborts', async ({scope}) => {
    const stop = new AbortController();
    const {host} = await begin(scope, SLEEP, {}, {signal: stop.signal});
    await host.started;
    stop.abort();
    expect(await host.ended).toMatchObject({reason: 'terminated'});
  });
});

test('what may be left behind is known: of a start that is given up, and of a backend that fails', async ({
  scope,
}) => {
  const unclean: unknown[] = [];
  const own = {
    id: 'sb_aaaaaaaa',
    workFolder: await scope.tempDir('own'),
    change: () => {},
    end: async (_end: unknown, options?: {unclean?: boolean}) => void unclean.push(options?.unclean),
  };
  const fake = new FakeBackend();
  const asked = Promise.withResolvers<void>();
  fake.before = () => {
    asked.resolve();
    return new Promise(() => {});
  };
  const slow = await begin(scope, SLEEP, {fake}, {own});
  await asked.promise;
  await inTime(slow.clock, 500, slow.host.terminate());
  expect(unclean).toEqual([true]);
  const {host, backend} = await begin(scope, SLEEP, {}, {own});
  await host.started;
  const [handle] = backend.handles;
  if (handle === undefined) throw new Error('no handle');
  const destroy = handle.destroy.bind(handle);
  handle.destroy = async () => {
    await destroy();
    throw new Error('the engine is gone');
  };
  await host.terminate();
  handle.destroy = destroy;
  const clean = await begin(scope, ['true'], {}, {own});
  await clean.host.ended;
  expect(unclean).toEqual([true, true, false]);
});

describe('the stop', () => {
  test('preStop runs first, then TERM', async ({scope}) => {
    const {host} = await begin(
      scope,
      ['sh', '-c', 'trap "cat last; exit 7" TERM; echo up; while :; do sleep 0.02; done'],
      {preStop: ['sh', '-c', 'echo saved > last']},
    );
    for await (const {bytes} of host.logs({follow: true})) if (String(bytes).includes('up')) break;
    expect(await host.terminate()).toMatchObject({reason: 'terminated', code: 7});
    let output = '';
    for await (const {bytes} of host.logs({follow: true})) output += String(bytes);
    expect(output).toMatch(/^up\n[\s\S]*saved\n$/);
  });

  test('a preStop that hangs and a command that ignores TERM have ten seconds each', async ({scope}) => {
    const {host, clock, backend} = await begin(
      scope,
      ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 1; done'],
      {preStop: ['sleep', '1000']},
    );
    for await (const {bytes} of host.logs({follow: true})) if (String(bytes).includes('up')) break;
    const end = await inTime(clock, 500, host.terminate());
    expect(end).toEqual({reason: 'terminated', detail: 'It was stopped on request.'});
    expect(backend.handles[0]?.signals).toEqual(['SIGTERM']);
    expect(clock.now()).toBeGreaterThanOrEqual(20_000);
    expect(clock.pending).toBe(0);
  });
});

describe('the start', () => {
  test('an error of the backend is the error of the start, and the sandbox has ended', async ({scope}) => {
    const {host, ends} = await begin(scope, ['/nonexistent/program']);
    await expect(host.started).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
    expect(await host.ended).toMatchObject({
      reason: 'failed',
      error: 'SANDBOX_COMMAND',
      detail: expect.stringContaining('cannot be run'),
    });
    expect(ends).toHaveLength(1);
    await expect(host.exec({command: ['true']})).rejects.toEqual(ended('failed'));
  });

  test('stopped while it starts: what starts late is removed before the end is known', async ({scope}) => {
    const fake = new FakeBackend();
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    fake.before = async () => {
      asked.resolve();
      await gate.promise;
    };
    const {host, ends} = await begin(scope, SLEEP, {fake});
    await asked.promise;
    const waiting = host.exec({command: ['true']});
    const end = host.terminate();
    await expect(waiting).rejects.toEqual(ended('terminated'));
    expect(ends).toEqual([]);
    gate.resolve();
    expect(await end).toMatchObject({reason: 'terminated'});
    expect(fake.handles[0]?.destroyed).toBe(1);
    await expect(host.started).rejects.toMatchObject({code: 'ABORTED'});
    expect(await fake.handles[0]?.ended).toMatchObject({signal: 'SIGKILL'});
  });

  test('the chosen backend is known before anything is made, and none is guessed', async ({scope}) => {
    const fake = new FakeBackend();
    const asked = Promise.withResolvers<void>();
    fake.before = async () => {
      asked.resolve();
      await new Promise(() => {});
    };
    const {host, clock, changes} = await begin(scope, SLEEP, {fake, backend: 'auto'});
    expect(host.snapshot.backend).toBe(undefined);
    await asked.promise;
    expect(changes.map(({state, backend}) => ({state, backend}))).toEqual([
      {state: 'creating', backend: 'bubblewrap'},
    ]);
    await inTime(clock, 500, host.terminate());
  });

  test('a backend that hangs is given up', async ({scope}) => {
    const fake = new FakeBackend();
    fake.before = () => new Promise(() => {});
    const {host, clock} = await begin(scope, SLEEP, {fake});
    await new Promise(setImmediate);
    clock.advance(120_000);
    await expect(inTime(clock, 500, host.started)).rejects.toMatchObject({code: 'SANDBOX_FAILED'});
  });

  test('calls wait until it runs', async ({scope}) => {
    const {host} = await begin(scope, ['cat']);
    host.stdin.write('through ');
    const run = await host.exec({command: ['echo', 'hi']});
    expect(await text(run.stdout)).toBe('hi\n');
    expect(await run.exit).toEqual({code: 0});
    host.stdin.end('the command');
    expect(await host.ended).toMatchObject({reason: 'exited', code: 0});
    let output = '';
    for await (const {bytes} of host.logs()) output += String(bytes);
    expect(output).toBe('through the command');
  });
});

describe('readiness', () => {
  test('without ports it is ready when it runs', async ({scope}) => {
    const {host} = await begin(scope, SLEEP);
    await host.ready();
    expect(host.snapshot.state).toBe('ready');
  });

  test('a port that listens later', async ({scope}) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const {port} = server.address() as {port: number};
    server.close();
    const {host, clock} = await begin(scope, SLEEP, {readiness: Probe.tcp(port), timeoutMs: 0});
    await host.started;
    await new Promise((resolve) => setTimeout(resolve, 20));
    clock.advance(1_000);
    expect(host.snapshot.state).toBe('running');
    await scope.listen(createServer(), '127.0.0.1', port);
    await inTime(clock, 100, host.ready());
    expect(host.snapshot.state).toBe('ready');
  });

  test('a command that succeeds at its third try', async ({scope}) => {
    const readiness = Probe.exec(['sh', '-c', 'echo x >> tries; test $(wc -l < tries) -ge 3']);
    const {host, clock} = await begin(scope, SLEEP, {readiness, timeoutMs: 0});
    await host.started;
    await inTime(clock, 100, host.ready());
    const run = await host.exec({command: ['wc', '-l', 'tries']});
    expect(await text(run.stdout)).toMatch(/^\s*3 /);
  });

  test('the end comes first', async ({scope}) => {
    const {host} = await begin(scope, SLEEP, {readiness: Probe.exec(['false'])});
    await host.started;
    const ready = host.ready();
    await host.terminate();
    await expect(ready).rejects.toEqual(ended('terminated'));
  });
});

test('a command that prints without end is not held up and needs no memory here', async ({scope}) => {
  const bytes = 256 * 1024 * 1024;
  const {host} = await begin(scope, ['head', '-c', String(bytes), '/dev/zero']);
  expect(await host.ended).toMatchObject({reason: 'exited', code: 0});
  let kept = 0;
  let lost = 0;
  for await (const piece of host.logs()) {
    kept += piece.bytes.length;
    lost += piece.lostBytes ?? 0;
  }
  expect([kept, kept + lost]).toEqual([256 * 1024, bytes]);
});

test('ten thousand calls leave nothing behind that waits', async ({scope}) => {
  const {host} = await begin(scope, SLEEP);
  await host.started;
  for (let i = 0; i < 10_000; i += 1) await host.stats();
  expect(await host.stats()).toEqual({pids: 2});
});
