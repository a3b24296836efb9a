import {connect, createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import type {DialRequest} from '../../../src/lib/seal/dialler.js';
import {InsideDials} from '../../../src/lib/seal/inside-dials.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

function start(address?: string): {dials: InsideDials; asked: DialRequest[]; starts: () => number} {
  const asked: DialRequest[] = [];
  let starts = 0;
  const dials = new InsideDials({
    start: async () => {
      starts += 1;
    },
    send: (request) => void asked.push(request),
    address,
  });
  return {dials, asked, starts: () => starts};
}

/** A connected socket, and a promise of the way in which its peer ends. */
async function connected(scope: Scope): Promise<{socket: Socket; end: Promise<string>}> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.onEnd(async () => void server.close());
  const end = new Promise<string>((resolve) => {
    server.on('connection', (peer) => {
      peer.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      peer.on('end', () => resolve('end')).resume();
    });
  });
  const socket = connect((server.address() as {port: number}).port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  scope.onEnd(async () => void socket.destroy());
  return {socket, end};
}

test('the dialling program starts once, and is asked for loopback or for the own address', async () => {
  const {dials, asked, starts} = start();
  const both = [dials.dial({port: 1}), dials.dial({port: 2, address: '::1'})];
  await new Promise(setImmediate);
  expect(starts()).toBe(1);
  expect(asked).toMatchObject([
    {port: 1, addresses: ['127.0.0.1', '::1']},
    {port: 2, addresses: ['::1']},
  ]);
  const member = start('fdaa::1');
  void member.dials.dial({port: 3, from: 'fdaa::2'}).catch(() => {});
  await new Promise(setImmediate);
  expect(member.asked).toMatchObject([{port: 3, addresses: ['fdaa::1'], from: 'fdaa::2'}]);
  for (const {dial} of asked) dials.take({dialled: dial, failed: 'ECONNREFUSED', address: '::1'}, undefined);
  for (const each of both) await expect(each).rejects.toMatchObject({code: 'ECONNREFUSED'});
});

test('a socket that nobody waits for any more is reset', async ({scope}) => {
  const {dials, asked} = start();
  const abort = new AbortController();
  const dial = dials.dial({port: 1, signal: abort.signal});
  await new Promise(setImmediate);
  abort.abort();
  await expect(dial).rejects.toMatchObject({name: 'AbortError'});
  const {socket, end} = await connected(scope);
  dials.take({dialled: asked[0]?.dial ?? 0}, socket);
  expect(await end).toBe('ECONNRESET');
});

test('more dials than the bound fail at once, and the end of the seal fails all', async () => {
  const {dials} = start();
  const waiting = Array.from({length: 1_024}, () => dials.dial({port: 1}));
  await expect(dials.dial({port: 1})).rejects.toMatchObject({code: 'EAGAIN'});
  dials.close();
  for (const each of waiting) await expect(each).rejects.toMatchObject({code: 'ECONNABORTED'});
  await expect(dials.dial({port: 1})).rejects.toMatchObject({code: 'ECONNABORTED'});
});

test('the end of the dialling program fails the dials that wait, and the next one starts it again', async () => {
  const {dials, asked, starts} = start();
  const waiting = [dials.dial({port: 1}), dials.dial({port: 2})];
  await new Promise(setImmediate);
  dials.lose();
  for (const each of waiting) await expect(each).rejects.toMatchObject({code: 'ECONNABORTED'});
  const next = dials.dial({port: 3});
  await new Promise(setImmediate);
  expect(starts()).toBe(2);
  const {dial = 0, port} = asked.at(-1) ?? {};
  expect(port).toBe(3);
  dials.take({dialled: dial, failed: 'ECONNREFUSED', address: '::1'}, undefined);
  await expect(next).rejects.toMatchObject({code: 'ECONNREFUSED'});
});
