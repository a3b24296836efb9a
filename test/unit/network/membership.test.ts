import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {text} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import {describe, expect} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {addressBytes} from '../../../src/lib/net/address-bytes.js';
import {type JoinOptions, joinNetwork, type Membership} from '../../../src/lib/network/membership.js';
import {Digest, MiB, pieces, sha256Of, source} from '../../helpers/bytes.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {MemberHub} from '../../helpers/member-hub.js';
import {type Scope, unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const WAYS = [
  {path: 'relay', options: {machine: false}},
  {path: 'machine', options: {}},
  {path: 'direct', options: {machine: false, direct: {host: '127.0.0.1'}}},
] as const;

async function member(scope: Scope, hub: MemberHub, name: string, options: Partial<JoinOptions> = {}) {
  const link = await hub.link();
  const joined = await joinNetwork({link, network: 'lab', name, ...options});
  scope.onEnd(() => joined.close());
  return {joined, link};
}

/** Resolves when the roster of `membership` has these names. */
async function sees(membership: Membership, ...names: string[]): Promise<void> {
  const holds = () => JSON.stringify(membership.members.map(({name}) => name)) === JSON.stringify(names);
  await new Promise<void>((resolve) => {
    if (holds()) return resolve();
    const leave = membership.onMembers(() => {
      if (!holds()) return;
      leave();
      resolve();
    });
  });
}

/** A local service of the member that answers with all that it got, at its end. */
async function echo(scope: Scope): Promise<number> {
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  return await scope.listen(server);
}

const dialLocal = (port: number): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });

async function two(scope: Scope, accept: JoinOptions['accept'], options: Partial<JoinOptions> = {}) {
  const hub = new MemberHub(scope);
  const trainer = await member(scope, hub, 'trainer', {...options, accept});
  const worker = await member(scope, hub, 'worker', options);
  await sees(worker.joined, 'trainer', 'worker');
  return {hub, trainer, worker};
}

describe('members', () => {
  test('have the addresses of their keys, and see each other come and go', async ({scope}) => {
    const {worker, trainer, hub} = await two(scope, undefined);
    expect(worker.joined.members.map(({name, path, serial}) => [name, path, serial])).toEqual([
      ['trainer', 'relay', 1],
      ['worker', 'self', 2],
    ]);
    expect(worker.joined.address).toMatch(/^fdaa:/);
    const told = new Promise<void>((resolve) => {
      worker.joined.onMembers(([first]) => first?.state.ready === true && resolve());
    });
    trainer.joined.setState({ready: true});
    await told;
    await trainer.joined.close();
    await sees(worker.joined, 'worker');
    expect(hub.opened).toEqual([]);
  });
});

describe.each(WAYS)('by $path', ({path, options}) => {
  const join = (scope: Scope, accept: JoinOptions['accept']) => two(scope, accept, options);

  test('a connection has half-closes, and shows who it comes from', async ({scope}) => {
    const port = await echo(scope);
    const from: unknown[] = [];
    const {worker, hub} = await join(scope, ({name, address}, at) => {
      from.push(name, address, at);
      return dialLocal(port);
    });
    const connection = await worker.joined.connect({to: 'trainer', port: 8000});
    connection.end('hello');
    expect(await text(connection)).toBe('hello');
    expect(from).toEqual(['worker', worker.joined.address, 8000]);
    expect(worker.joined.members[0]?.path).toBe(path);
    expect(hub.opened).toEqual(path === 'relay' ? ['worker trainer 0'] : []);
  });

  test('connections share one link of the two, each way by itself, in bulk', async ({scope}) => {
    const port = await echo(scope);
    const {worker, hub} = await join(scope, () => dialLocal(port));
    const run = async (seed: number) => {
      const connection = await worker.joined.connect({to: worker.joined.members[0]?.address ?? '', port: 1});
      const digest = new Digest();
      await Promise.all([pipeline(source(8 * MiB, seed), connection), pipeline(connection, digest)]);
      expect(digest.sha256()).toBe(sha256Of(8 * MiB, seed));
    };
    await Promise.all([run(1), run(2), run(3)]);
    expect(hub.opened.length).toBe(path === 'relay' ? 1 : 0);
  });

  test('a reset of one end is a reset of the other', async ({scope}) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.write('hi');
    });
    const port = await scope.listen(server);
    const {worker} = await join(scope, () => dialLocal(port));
    const [one, other] = [
      await worker.joined.connect({to: 'trainer', port: 1}),
      await worker.joined.connect({to: 'trainer', port: 1}),
    ];
    await Promise.all([once(one, 'data'), once(other, 'data')]);
    const broken = once(one, 'error');
    sockets[0]?.resetAndDestroy();
    expect((await broken)[0]).toMatchObject({code: 'ECONNRESET'});
    const far = once(sockets[1] as Socket, 'error');
    other.destroy();
    expect((await far)[0]).toMatchObject({code: 'ECONNRESET'});
  });

  test('refusals have codes', async ({scope}) => {
    const closed = await unusedPort();
    const {worker} = await join(scope, async (_, port) => {
      if (port === 1) throw new TunlError('NOT_ALLOWED');
      return await dialLocal(closed);
    });
    const to = (name: string, port: number) => worker.joined.connect({to: name, port});
    await expect(to('trainer', 1)).rejects.toMatchObject({code: 'NOT_ALLOWED'});
    await expect(to('trainer', 2)).rejects.toMatchObject({
      code: 'UPSTREAM_REFUSED',
      message: 'The member does not accept connections on this port.',
      next: expect.stringContaining('listen on ::'),
    });
    await expect(to('nobody', 2)).rejects.toMatchObject({code: 'MEMBER_UNKNOWN'});
    await expect(to('worker', 2)).rejects.toMatchObject({code: 'NOT_ALLOWED'});
    await expect(to('trainer', 0)).rejects.toMatchObject({code: 'PORT_RANGE'});
  });

  test.for([
    ['ENOTFOUND', 'The member cannot reach its service (ENOTFOUND).'],
    ['EHOSTUNREACH', 'The member cannot reach its service (EHOSTUNREACH).'],
    ['ECONNRESET', 'The member cannot reach its service (ECONNRESET).'],
    ['ETIMEDOUT', 'The service of the member did not answer in time (ETIMEDOUT).'],
  ])('a target that fails with %s is no fault of the way to the member', async ([code, message], {scope}) => {
    const {worker} = await join(scope, async () => {
      throw Object.assign(new Error('10.0.0.1 is not for others'), {code});
    });
    await expect(worker.joined.connect({to: 'trainer', port: 1})).rejects.toMatchObject({
      code: 'UPSTREAM_REFUSED',
      message,
      next: expect.stringContaining('Check that its service runs.'),
    });
  });

  test('a reader that stops holds back its own connection alone', async ({scope}) => {
    const port = await echo(scope);
    const {worker} = await join(scope, () => dialLocal(port));
    const slow = await worker.joined.connect({to: 'trainer', port: 1});
    const quick = async () => {
      const connection = await worker.joined.connect({to: 'trainer', port: 1});
      connection.end('quick');
      return await text(connection);
    };
    // Nobody reads what comes back, so at some point the writer has to wait.
    let isFull = false;
    for (const piece of pieces(64 * MiB)) {
      if (slow.write(piece)) continue;
      let isDrained = false;
      slow.once('drain', () => {
        isDrained = true;
      });
      for (let i = 0; i < 5 && !isDrained; i += 1) expect(await quick()).toBe('quick');
      isFull = !isDrained;
      if (isFull) break;
    }
    expect(isFull).toBe(true);
    slow.destroy();
  });

  test('a member that has left connects to nobody', async ({scope}) => {
    const port = await echo(scope);
    const {worker} = await join(scope, () => dialLocal(port));
    await worker.joined.close();
    await expect(worker.joined.connect({to: 'trainer', port: 1})).rejects.toMatchObject({code: 'CLOSED'});
  });

  test('a member that the relay removes loses its connections', async ({scope}) => {
    const port = await echo(scope);
    const {worker, trainer, hub} = await join(scope, () => dialLocal(port));
    const connection = await worker.joined.connect({to: 'trainer', port: 1});
    connection.write('x');
    await once(connection, 'data');
    const broken = once(connection, 'error');
    hub.end('worker', 'NOT_ALLOWED');
    await broken;
    expect(await worker.joined.ended).toMatchObject({code: 'NOT_ALLOWED'});
    expect(trainer.joined.joined).toBe(true);
  });
});

describe('by the relay', () => {
  const options = {machine: false};

  test('connections outlive the session of the agent with the relay', async ({scope}) => {
    const port = await echo(scope);
    const {worker, trainer} = await two(scope, () => dialLocal(port), options);
    const connection = await worker.joined.connect({to: 'trainer', port: 1});
    const digest = new Digest();
    const done = Promise.all([pipeline(source(32 * MiB), connection), pipeline(connection, digest)]);
    for (const {link} of [worker, trainer, worker]) {
      await new Promise<void>((resolve) => connection.once('data', () => resolve()));
      link.cut();
    }
    await done;
    expect(digest.sha256()).toBe(sha256Of(32 * MiB));
  });

  test('a caller that leaves while its member is looked for dials nobody', async ({scope}) => {
    const {worker, hub} = await two(scope, undefined, options);
    hub.lie = () => [];
    const away = sees(worker.joined);
    hub.tell();
    await away;
    const gone = new AbortController();
    const connecting = worker.joined.connect({to: 'trainer', port: 1, signal: gone.signal});
    gone.abort();
    hub.lie = (members) => members;
    hub.tell();
    await expect(connecting).rejects.toMatchObject({code: 'ABORTED'});
    // It goes the same way as a dial, after it.
    const told = new Promise<void>((resolve) => {
      worker.joined.onMembers((members) => members.some(({state}) => state.later === true) && resolve());
    });
    worker.joined.setState({later: true});
    await told;
    expect(hub.opened).toEqual([]);
  });

  test('a member is found by its address in every spelling', async ({scope}) => {
    const port = await echo(scope);
    const {worker, trainer} = await two(scope, () => dialLocal(port), options);
    const bytes = addressBytes(trainer.joined.address) as Buffer;
    const groups = bytes.subarray(0, 12).toString('hex').match(/.{4}/g) ?? [];
    const to = `[${groups.join(':')}:${bytes.subarray(12).join('.')}]`;
    const connection = await worker.joined.connect({to, port: 1});
    connection.end('found');
    expect(await text(connection)).toBe('found');
  });

  test('a roster with a key that does not have the address is not believed', async ({scope}) => {
    const port = await echo(scope);
    const {worker, hub} = await two(scope, () => dialLocal(port), options);
    const forged = await member(scope, hub, 'forged', {accept: () => dialLocal(port), ...options});
    await sees(worker.joined, 'trainer', 'worker', 'forged');
    const key = hub.entries.get('forged')?.key ?? '';
    hub.lie = (members) => members.map((each) => (each.name === 'trainer' ? {...each, key} : each));
    const missing = sees(worker.joined, 'worker', 'forged');
    hub.tell();
    await missing;
    await expect(worker.joined.connect({to: 'trainer', port: 1})).rejects.toMatchObject({
      code: 'MEMBER_UNKNOWN',
    });
    await forged.joined.close();
  });

  test('a relay that connects a member to another one than it means is found out', async ({scope}) => {
    const port = await echo(scope);
    let accepted = 0;
    const {worker, hub} = await two(scope, undefined, options);
    await member(scope, hub, 'evil', {
      ...options,
      accept: () => {
        accepted += 1;
        return dialLocal(port);
      },
    });
    const own = hub.entries.get('trainer');
    hub.redirect = (to) => (to === 'trainer' ? 'evil' : to);
    expect(own).toBeDefined();
    await expect(worker.joined.connect({to: 'trainer', port: 1})).rejects.toMatchObject({
      code: 'MEMBER_UNPROVEN',
    });
    expect(accepted).toBe(0);
  });

  test('of two members with one key the later one stays, and with another key the first one', async ({
    scope,
  }) => {
    const hub = new MemberHub(scope);
    const key = {stateDir: await scope.tempDir('state')};
    const first = await member(scope, hub, 'trainer', {key});
    const second = await member(scope, hub, 'trainer', {key});
    expect(await first.joined.ended).toMatchObject({code: 'MEMBER_REPLACED'});
    expect(second.joined.address).toBe(first.joined.address);
    await expect(member(scope, hub, 'trainer')).rejects.toMatchObject({code: 'MEMBER_NAME_USED'});
    expect(second.joined.joined).toBe(true);
  });

  test('without TLS between members only when both trust the relay', async ({scope}) => {
    const port = await echo(scope);
    const {worker, hub} = await two(scope, () => dialLocal(port), {...options, trustRelay: true});
    const connection = await worker.joined.connect({to: 'trainer', port: 8000});
    connection.end('plain');
    expect(await text(connection)).toBe('plain');
    const other = await member(scope, hub, 'other', options);
    await sees(other.joined, 'trainer', 'worker', 'other');
    const secure = await other.joined.connect({to: 'trainer', port: 8000});
    secure.end('secure');
    expect(await text(secure)).toBe('secure');
    expect(hub.opened).toEqual(['worker trainer 8000', 'other trainer 0']);
  });
});

test('a limit of the relay that lasts is the reason why a member did not get in', async ({scope}) => {
  const link = await new MemberHub(scope).link();
  const refused = Promise.withResolvers<void>();
  const open: typeof link.open = async (_kind, _about, {onOpen} = {}) => {
    const stream = {reset: () => {}} as unknown as Stream;
    onOpen?.(stream);
    stream.sink.onReset('TOO_MANY_STREAMS', 'An owner may have 1024 members.');
    refused.resolve();
    return stream;
  };
  const clock = new ManualClock();
  const joining = joinNetwork({link: {...link, open}, network: 'lab', name: 'worker', clock});
  joining.catch(() => {});
  await refused.promise;
  clock.advance(15_000);
  await expect(joining).rejects.toMatchObject({
    code: 'RELAY_BUSY',
    message: 'An owner may have 1024 members.',
  });
});

test.for([
  ['Lab', 'a'],
  ['lab', 'a.b'],
  ['lab', 'localhost'],
  ['../lab', 'a'],
  ['lab', '../a'],
  ['', 'a'],
])('%s and %s are no names', async ([network = '', name = ''], {scope}) => {
  const link = await new MemberHub(scope).link();
  await expect(joinNetwork({link, network, name})).rejects.toMatchObject({code: 'NETWORK_INVALID'});
});
