// The tunnels of one command: they are added and removed by name, and the command ends with the last one.

import {expect, test} from 'vitest';
import type {ReadyEvent, TunnelEvent} from '../../../src/lib/agent/events.js';
import type {ForwardOptions} from '../../../src/lib/agent/options.js';
import {type Member, type Opening, TunnelGroup} from '../../../src/lib/cli/tunnel-group.js';
import {TunlError} from '../../../src/lib/core/errors.js';

type NamedEvent = TunnelEvent & {tunnel?: string};

const readyOf = (name: string): ReadyEvent => ({
  type: 'ready',
  address: `https://${name}.r1.example.net`,
  upstream: 'localhost:8000',
  relay: {url: 'https://r1.example.net', embedded: false},
  h2: false,
});

/** A tunnel that ends only when the test ends it. */
class FakeTunnel implements Member {
  readonly ready: ReadyEvent;
  readonly rttMs = undefined;
  readonly traffic = {bytesIn: 1, bytesOut: 10};
  readonly #over = Promise.withResolvers<void>();
  readonly closed = this.#over.promise;
  readonly links = [];
  readonly drains: number[] = [];
  /** If true, its visitors stay: `close` does not resolve by itself. */
  lingers = false;

  constructor(name: string) {
    this.ready = readyOf(name);
    this.closed.catch(() => {});
  }

  async close({drainTimeoutMs}: {drainTimeoutMs: number}): Promise<void> {
    this.drains.push(drainTimeoutMs);
    if (!this.lingers) this.#over.resolve();
    await this.closed.catch(() => {});
  }

  destroy(): void {
    this.#over.resolve();
  }

  restrict(): void {}

  share(): never {
    throw new TunlError('NOT_PRIVATE');
  }

  revoke(): never {
    throw new TunlError('NOT_PRIVATE');
  }

  fail(error: TunlError): void {
    this.#over.reject(error);
  }
}

function setUp() {
  const events: NamedEvent[] = [];
  const changes: string[][] = [];
  const tunnels = new Map<string, FakeTunnel>();
  const told = new Map<string, ForwardOptions>();
  const group = new TunnelGroup({
    drainTimeoutMs: 5,
    onEvent: (event) => events.push(event),
    onChange: (all) => changes.push(all.map(({tunnel}) => tunnel)),
  });
  const opening = (name: string, more: Partial<Opening> = {}): Opening => ({
    name,
    open: async (options) => {
      const tunnel = new FakeTunnel(name);
      tunnels.set(name, tunnel);
      told.set(name, options);
      options.onEvent?.(tunnel.ready);
      return tunnel;
    },
    ...more,
  });
  const of = (name: string) => tunnels.get(name) as FakeTunnel;
  const tell = (name: string, event: TunnelEvent, about?: 'link') => told.get(name)?.onEvent?.(event, about);
  const names = () => group.addresses.map(({tunnel}) => tunnel);
  return {group, opening, of, tell, names, events, changes};
}

/** Opens nothing, and rejects when its signal aborts. */
const never: Pick<Opening, 'open'> = {
  open: ({signal}) =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(new TunlError('ABORTED')));
    }),
};

const NOTICE: TunnelEvent = {type: 'notice', code: 'UPSTREAM_REFUSED', message: 'x'};

test('events of several tunnels have names; a link event is passed on once', async () => {
  const {group, opening, tell, events} = setUp();
  await group.begin([opening('a'), opening('b')], {});
  tell('b', NOTICE);
  const resumed: TunnelEvent = {type: 'resumed', awayMs: 1, resumed: 0, lost: 0};
  for (const name of ['a', 'b']) tell(name, resumed, 'link');
  expect(events).toEqual([
    {...readyOf('a'), tunnel: 'a'},
    {...readyOf('b'), tunnel: 'b'},
    {...NOTICE, tunnel: 'b'},
    resumed,
  ]);
});

test('the events of a first single tunnel have no name, also after others are added', async () => {
  const {group, opening, tell, events} = setUp();
  await group.begin([opening('a')], {});
  await group.add(opening('b'), {});
  tell('a', NOTICE);
  tell('b', NOTICE);
  expect(events.map(({tunnel}) => tunnel)).toEqual([undefined, 'b', undefined, 'b']);
});

test('when one of several tunnels cannot be opened, those before it are ended', async () => {
  const {group, opening, of} = setUp();
  const taken = opening('b', {open: () => Promise.reject(new TunlError('NAME_TAKEN'))});
  await expect(group.begin([opening('a'), taken], {})).rejects.toMatchObject({code: 'NAME_TAKEN'});
  expect(of('a').drains).toEqual([0]);
});

test('tunnels are added and removed by name; the command ends with the last one', async () => {
  const {group, opening, of, names, changes} = setUp();
  await group.begin([opening('a')], {});
  expect(await group.add(opening('b'), {})).toEqual({
    tunnel: 'b',
    address: 'https://b.r1.example.net',
    upstream: 'localhost:8000',
  });
  await group.remove('a', {drainTimeoutMs: 7});
  expect(of('a').drains).toEqual([7]);
  expect(names()).toEqual(['b']);
  expect(changes).toEqual([['a', 'b'], ['b']]);
  // The bytes of a removed tunnel still count.
  expect(group.traffic).toEqual({bytesIn: 2, bytesOut: 20});
  // Its name is free again.
  await group.add(opening('a'), {});
  await group.close({drainTimeoutMs: 3});
  await group.closed;
  expect([of('a'), of('b')].map(({drains}) => drains)).toEqual([[3], [3]]);
  // Tunnels that were open at the end stay listed.
  expect(changes.at(-1)).toEqual(['b', 'a']);
});

test('a name is in use while its tunnel is open or being opened', async () => {
  const {group, opening} = setUp();
  await group.begin([opening('a')], {});
  const used = {code: 'BACKGROUND_NAME_USED'};
  await expect(group.add(opening('a'), {})).rejects.toMatchObject(used);
  const gone = new AbortController();
  const opened = group.add(opening('b', never), {signal: gone.signal});
  await expect(group.add(opening('b'), {})).rejects.toMatchObject(used);
  gone.abort();
  await expect(opened).rejects.toMatchObject({code: 'ABORTED'});
  await group.add(opening('b'), {});
});

test('an abort after the tunnel is open does not end it', async () => {
  const {group, opening, names} = setUp();
  const gone = new AbortController();
  let ended = false;
  await group.begin([opening('a')], {});
  const {open} = opening('b');
  const watched: Opening = {
    name: 'b',
    open: async (options) => {
      options.signal?.addEventListener('abort', () => (ended = true));
      return await open(options);
    },
  };
  await group.add(watched, {signal: gone.signal});
  gone.abort();
  expect(ended).toBe(false);
  expect(names()).toEqual(['a', 'b']);
});

test('an unknown tunnel, the last one, and the one of a program cannot be removed', async () => {
  const {group, opening, of} = setUp();
  await group.begin([opening('a'), opening('b')], {});
  await expect(group.remove('c', {drainTimeoutMs: 0})).rejects.toMatchObject({
    code: 'BACKGROUND_NAME_UNKNOWN',
    message: 'No tunnel has the name c, only a, b.',
  });
  // While the visitors of `a` finish, `b` is the last tunnel.
  of('a').lingers = true;
  const first = group.remove('a', {drainTimeoutMs: 0});
  await expect(group.remove('b', {drainTimeoutMs: 0})).rejects.toMatchObject({code: 'BACKGROUND_KEPT'});
  of('a').destroy();
  await first;
  const other = setUp();
  await other.group.begin([other.opening('jupyter', {kept: true})], {});
  await other.group.add(other.opening('b'), {});
  await expect(other.group.remove('jupyter', {drainTimeoutMs: 0})).rejects.toMatchObject({
    code: 'BACKGROUND_KEPT',
  });
  // All tunnels end with the program's.
  other.of('jupyter').destroy();
  await other.group.closed;
  expect(other.of('b').drains).toEqual([5]);
});

test('a tunnel that fails leaves the others open; the group rejects with the first failure', async () => {
  const {group, opening, of, names} = setUp();
  await group.begin([opening('a'), opening('b'), opening('c')], {});
  of('b').fail(new TunlError('TAKEN_OVER'));
  await expect.poll(names).toEqual(['a', 'c']);
  of('c').fail(new TunlError('RELAY_LOST'));
  of('a').destroy();
  await expect(group.closed).rejects.toMatchObject({code: 'TAKEN_OVER'});
});

test('after the end no tunnel is added, and one that is being opened is abandoned', async () => {
  const {group, opening} = setUp();
  await group.begin([opening('a')], {});
  const late = group.add(opening('b', never), {});
  await group.close({drainTimeoutMs: 0});
  await expect(late).rejects.toMatchObject({code: 'BACKGROUND_UNKNOWN'});
  await expect(group.add(opening('c'), {})).rejects.toMatchObject({code: 'BACKGROUND_UNKNOWN'});
});
