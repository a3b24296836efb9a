// Against the `ws` package on either side: another implementation of the same RFC.
import {once} from 'node:events';
import https from 'node:https';
import {expect} from 'vitest';
import {WebSocket, WebSocketServer} from 'ws';
import {dialCarrier} from '../../../src/lib/carrier/dial.js';
import {acceptUpgrade} from '../../../src/lib/carrier/upgrade.js';
import type {WebSocketCarrier} from '../../../src/lib/carrier/ws-carrier.js';
import {listenTo, send, testIdentity} from '../../helpers/carriers.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

interface Joined {
  ws: WebSocket;
  carrier: WebSocketCarrier;
}

/** `ws` dials our relay's side, and asks for compression. */
async function wsAsAgent(scope: Scope): Promise<Joined> {
  const {ca, key, cert} = await testIdentity();
  const server = https.createServer({key, cert});
  const accepted = Promise.withResolvers<WebSocketCarrier>();
  server.on('upgrade', (req, socket, head) => {
    const carrier = acceptUpgrade({req, socket, head});
    if (carrier === undefined) accepted.reject(new Error('refused'));
    else accepted.resolve(carrier);
  });
  const url = `wss://127.0.0.1:${await scope.listen(server)}/x`;
  const ws = new WebSocket(url, ['tunl.v1'], {ca, perMessageDeflate: {threshold: 0}});
  scope.onEnd(() => ws.terminate());
  const carrier = await accepted.promise;
  await once(ws, 'open');
  return {ws, carrier};
}

/** Our agent's side dials `ws`, which offers compression. */
async function wsAsRelay(scope: Scope): Promise<Joined> {
  const {ca, key, cert} = await testIdentity();
  const server = https.createServer({key, cert});
  const wss = new WebSocketServer({
    server,
    perMessageDeflate: {threshold: 0},
    handleProtocols: () => 'tunl.v1',
  });
  scope.onEnd(() => void wss.close());
  const connected = once(wss, 'connection') as Promise<[WebSocket]>;
  const url = `https://relay.localhost:${await scope.listen(server)}`;
  const {carrier} = await dialCarrier({url, path: '/x', ca, timeoutMs: 10_000, env: {}});
  const [ws] = await connected;
  scope.onEnd(() => ws.terminate());
  return {ws, carrier};
}

test.for([
  ['as the agent', wsAsAgent],
  ['as the relay', wsAsRelay],
] as const)('ws %s', async ([_name, join], {scope}) => {
  const {ws, carrier} = await join(scope);
  expect(ws.extensions).toBe('');
  expect(ws.protocol).toBe('tunl.v1');
  const log = listenTo(carrier);

  // From us to `ws`: each block is one binary message.
  const messages: Buffer[] = [];
  ws.on('message', (data: Buffer, binary) => {
    expect(binary).toBe(true);
    messages.push(data);
    if (messages.length === 6) ws.emit('all');
  });
  const all = once(ws, 'all');
  const sizes = [1, 125, 126, 65_535, 65_536, 131_024];
  await Promise.all(sizes.map((size, i) => send(carrier, Buffer.alloc(size, i + 1))));
  await all;
  expect(messages.map((message) => message.length)).toEqual(sizes);
  expect(messages.every((message, i) => message.equals(Buffer.alloc(message.length, i + 1)))).toBe(true);

  // From `ws` to us: whole, in fragments, with an empty last one, masked where required.
  ws.send('whole', {binary: true});
  ws.send('frag', {binary: true, fin: false});
  ws.ping('in between');
  ws.send('ment', {binary: true, fin: false});
  ws.send('', {binary: true, fin: true});
  const big = Buffer.alloc(300_000, 'tunl');
  ws.send(big);
  await log.received(5 + 8 + big.length);
  expect(log.data.equals(Buffer.concat([Buffer.from('wholefragment'), big]))).toBe(true);

  // Ping and pong.
  const pong = once(ws, 'pong');
  ws.ping('hello?');
  const answers = [String((await pong)[0])];
  if (answers[0] === 'in between') answers.push(String((await once(ws, 'pong'))[0]));
  expect(answers.at(-1)).toBe('hello?');

  // We close: `ws` sees an orderly end.
  const closed = once(ws, 'close') as Promise<[number, Buffer]>;
  carrier.end();
  expect((await closed)[0]).toBe(1000);
  expect(await log.closed()).toBeUndefined();
});

test.for([
  ['as the agent', wsAsAgent],
  ['as the relay', wsAsRelay],
] as const)('ws %s closes', async ([_name, join], {scope}) => {
  const {ws, carrier} = await join(scope);
  const log = listenTo(carrier);
  const closed = once(ws, 'close') as Promise<[number, Buffer]>;
  ws.send(Buffer.from('last words'));
  ws.close(1001, 'restart');
  expect(await log.closed()).toBeUndefined();
  expect(log.data.toString()).toBe('last words');
  expect((await closed)[0]).toBe(1001);
});

test.for([
  ['as the agent', wsAsAgent],
  ['as the relay', wsAsRelay],
] as const)('ws %s sends text and is told that it may not', async ([_name, join], {scope}) => {
  const {ws, carrier} = await join(scope);
  const log = listenTo(carrier);
  const closed = once(ws, 'close') as Promise<[number, Buffer]>;
  ws.send('text');
  const [code, reason] = await closed;
  expect([code, String(reason)]).toEqual([1003, 'a text message']);
  expect(await log.closed()).toMatchObject({code: 'PROTOCOL'});
});

test.for([
  ['as the agent', wsAsAgent],
  ['as the relay', wsAsRelay],
] as const)('ws %s disappears', async ([_name, join], {scope}) => {
  const {ws, carrier} = await join(scope);
  const log = listenTo(carrier);
  ws.terminate();
  expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
});
