// The ways between members: one that breaks, one that comes late, and what strangers and odd members get at a direct port.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {text} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import {connect as connectTls} from 'node:tls';
import {describe, expect} from 'vitest';
import {ephemeralMemberKey} from '../../../src/lib/network/member-key.js';
import {MEMBER_ALPN, secureMember} from '../../../src/lib/network/member-tls.js';
import {type JoinOptions, joinNetwork, type Membership} from '../../../src/lib/network/membership.js';
import {Digest, MiB, sha256Of, source} from '../../helpers/bytes.js';
import {FaultProxy} from '../../helpers/fault-proxy.js';
import {MemberHub} from '../../helpers/member-hub.js';
import {type Scope, unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

async function echo(scope: Scope): Promise<number> {
  return await scope.listen(
    createServer({allowHalfOpen: true}, (socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    }),
  );
}

const dialLocal = (port: number): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    socket.once('error', reject);
    socket.once('connect', () => resolve(socket));
  });

async function join(scope: Scope, hub: MemberHub, name: string, options: Partial<JoinOptions> = {}) {
  const membership = await joinNetwork({
    link: await hub.link(),
    network: 'lab',
    name,
    machine: false,
    ...options,
  });
  scope.onEnd(() => membership.close());
  return membership;
}

const closed = (socket: Socket) => new Promise((resolve) => socket.once('close', resolve));

async function until(membership: Membership, holds: () => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    if (holds()) return resolve();
    const leave = membership.onMembers(() => {
      if (!holds()) return;
      leave();
      resolve();
    });
  });
}

/** A member that others reach directly through a proxy with faults. */
async function behindProxy(scope: Scope) {
  const hub = new MemberHub(scope);
  const port = await unusedPort();
  const proxy = await FaultProxy.start(scope, {target: {port}});
  const local = await echo(scope);
  await join(scope, hub, 'trainer', {
    accept: () => dialLocal(local),
    direct: {host: '127.0.0.1', port, at: [`127.0.0.1:${proxy.port}`]},
  });
  const worker = await join(scope, hub, 'worker');
  await until(worker, () => worker.members.length === 2);
  const path = () => worker.members.find(({name}) => name === 'trainer')?.path;
  return {hub, proxy, worker, path};
}

test('a direct way that is lost: connections go on through the relay', async ({scope}) => {
  const {proxy, worker, path} = await behindProxy(scope);
  const connection = await worker.connect({to: 'trainer', port: 1});
  expect(path()).toBe('direct');
  const digest = new Digest();
  const done = Promise.all([pipeline(source(32 * MiB), connection), pipeline(connection, digest)]);
  await proxy.passed('up', 8 * MiB);
  await proxy.refuse();
  proxy.reset();
  await done;
  expect(digest.sha256()).toBe(sha256Of(32 * MiB));
  expect(path()).toBe('relay');
});

test('a direct way that answers late: connections move to it', async ({scope}) => {
  const {proxy, worker, path, hub} = await behindProxy(scope);
  proxy.blackhole('hold');
  const connection = await worker.connect({to: 'trainer', port: 1});
  expect([path(), hub.opened]).toEqual(['relay', ['worker trainer 0']]);
  connection.write('a');
  expect(String((await once(connection, 'data'))[0])).toBe('a');
  proxy.restore();
  await until(worker, () => path() === 'direct');
  connection.end('b');
  expect(await text(connection)).toBe('b');
});

test('the old path ends before the answer on the new one has come: nobody dials the old one again', async ({
  scope,
}) => {
  const {proxy, worker, path, hub} = await behindProxy(scope);
  proxy.blackhole('hold');
  const connection = await worker.connect({to: 'trainer', port: 1});
  expect([path(), hub.opened]).toEqual(['relay', ['worker trainer 0']]);
  // The answer is late, and the end of the old path is not.
  proxy.setDelay('down', 300);
  proxy.restore();
  await until(worker, () => path() === 'direct');
  const answer = once(connection, 'data');
  connection.write('a');
  expect(String((await answer)[0])).toBe('a');
  expect([path(), hub.opened]).toEqual(['direct', ['worker trainer 0']]);
  connection.end('b');
  expect(await text(connection)).toBe('b');
});

test('a member that the relay removes, and that does not go, is cut off where it is connected directly', async ({
  scope,
}) => {
  const {worker, hub, path} = await behindProxy(scope);
  const connection = await worker.connect({to: 'trainer', port: 1});
  expect(path()).toBe('direct');
  const broken = once(connection, 'error');
  hub.lie = (members) => members.filter(({name}) => name !== 'worker');
  hub.tell();
  expect((await broken)[0]).toMatchObject({code: 'ECONNRESET'});
});

describe('at a direct port', () => {
  async function open(scope: Scope) {
    const hub = new MemberHub(scope);
    const local = await echo(scope);
    let accepted = 0;
    const trainer = await join(scope, hub, 'trainer', {
      accept: () => {
        accepted += 1;
        return dialLocal(local);
      },
      direct: {host: '127.0.0.1'},
    });
    const port = trainer.directPort ?? 0;
    const socketTo = async (): Promise<Socket> => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      scope.onEnd(() => void socket.destroy());
      await once(socket, 'connect');
      return socket;
    };
    const works = async () => {
      const worker = await join(scope, hub, 'worker');
      await until(worker, () => worker.members.length >= 2);
      const connection = await worker.connect({to: 'trainer', port: 1});
      connection.end('works');
      expect(await text(connection)).toBe('works');
      expect(worker.members.find(({name}) => name === 'trainer')?.path).toBe('direct');
    };
    return {hub, trainer, port, socketTo, works, accepted: () => accepted};
  }

  test('strangers get no answer: without TLS, without a key, with a key of nobody', async ({scope}) => {
    const {port, socketTo, works, accepted} = await open(scope);
    const plain = await socketTo();
    plain.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    plain.resume();
    await closed(plain);
    const keyless = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ALPNProtocols: [MEMBER_ALPN],
    });
    keyless.on('error', () => {}).resume();
    await closed(keyless);
    const other = connectTls({port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2']});
    other.on('error', () => {}).resume();
    await closed(other);
    const key = ephemeralMemberKey();
    const {socket} = await secureMember(await socketTo(), {key, isAcceptor: false, accepts: () => true});
    socket.on('error', () => {}).resume();
    await closed(socket);
    expect(accepted()).toBe(0);
    await works();
  });

  test('one address has a few places for handshakes, and gets them back', async ({scope}) => {
    const {socketTo, works, port} = await open(scope);
    const waiting = await Promise.all(Array.from({length: 8}, socketTo));
    const ninth = connect(port, '127.0.0.1');
    const [error] = await once(ninth, 'error').catch((reason) => [reason]);
    expect(error).toMatchObject({code: 'ECONNRESET'});
    for (const each of waiting) each.destroy();
    await works();
  });

  test.for<[string, (about: {to: string; session: string}) => unknown]>([
    ['no JSON', () => 'hello'],
    ['another address', ({session}) => ({to: 'fdaa::1', session, resumes: false, received: 0})],
    ['a session that is not known', ({to, session}) => ({to, session, resumes: true, received: 0})],
    ['a session without a number', ({to}) => ({to, session: 'x', resumes: false, received: 0})],
    ['bytes that were never sent', ({to, session}) => ({to, session, resumes: false, received: 2 ** 40})],
    ['a line without an end', () => 'x'.repeat(5_000)],
  ])('a member that begins with %s gets no session', async ([, line], {scope}) => {
    const {hub, trainer, socketTo, works, accepted} = await open(scope);
    const key = ephemeralMemberKey();
    const odd = await hub.joinRaw('odd', key);
    scope.onEnd(() => odd.close());
    await until(trainer, () => trainer.members.some(({name}) => name === 'odd'));
    const {socket} = await secureMember(await socketTo(), {key, isAcceptor: false, accepts: () => true});
    socket.on('error', () => {}).resume();
    const said = line({to: trainer.address, session: 'ab'.repeat(16)});
    socket.write(
      typeof said === 'string' ? `${said}${said.length < 100 ? '\n' : ''}` : `${JSON.stringify(said)}\n`,
    );
    await closed(socket);
    expect(accepted()).toBe(0);
    await works();
  });
});
