// Connections by egress: from which address they leave, where they may go, and how they end.

import {once} from 'node:events';
import {createServer, type Socket} from 'node:net';
import type {Duplex, Readable} from 'node:stream';
import {text} from 'node:stream/consumers';
import {expect} from 'vitest';
import {EgressRig, SOURCES} from '../../../helpers/egress.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

/** A server that tells the address of its peer, and then sends back what it gets. */
async function startEcho(scope: Scope) {
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => {});
    socket.write(`${socket.remoteAddress} ${socket.remotePort}\n`);
    socket.pipe(socket);
  });
  return await scope.listen(server);
}

async function firstLine(stream: Readable): Promise<string> {
  let line = '';
  while (!line.includes('\n')) {
    const [piece] = (await once(stream, 'data')) as [Buffer];
    line += piece.toString();
  }
  return line.trim();
}

/** Resolves with the error of its end, if any. */
function closed(stream: Duplex): Promise<Error | null> {
  return new Promise((resolve) => stream.once('close', () => resolve(stream.errored)));
}

test('a connection leaves from an address of the set, always the same one for one host', async ({scope}) => {
  const port = await startEcho(scope);
  const names = {'db.corp': ['127.0.0.1'], 'api.corp': ['127.0.0.1']};
  const rig = await EgressRig.start(scope, {names});
  const seen = new Set<string>();
  for (let round = 0; round < 4; round += 1) {
    const stream = await rig.open({host: 'db.corp', port});
    const [address = '', localPort] = (await firstLine(stream)).split(' ');
    seen.add(address);
    expect(SOURCES).toContain(address);
    const [first, last] = rig.settings.egressPorts;
    expect(Number(localPort)).toBeGreaterThanOrEqual(first);
    expect(Number(localPort)).toBeLessThanOrEqual(last);
    stream.destroy();
  }
  expect(seen.size).toBe(1);
});

test('bytes, half-closes and resets pass through in both directions', async ({scope}) => {
  const port = await startEcho(scope);
  const rig = await EgressRig.start(scope);
  const stream = await rig.open({port});
  await firstLine(stream);
  const sent = 'x'.repeat(1_000_000);
  stream.end(sent);
  expect(await text(stream)).toBe(sent);

  const sockets: Socket[] = [];
  const reset = await scope.listen(createServer((socket) => void sockets.push(socket.on('error', () => {}))));
  const broken = await rig.open({port: reset});
  const failed = closed(broken);
  sockets[0]?.resetAndDestroy();
  expect(await failed).toMatchObject({code: 'UPSTREAM_RESET'});
  const dropped = await rig.open({port: reset});
  const gone = closed(sockets[1] as Socket);
  dropped.destroy();
  expect(await gone).toMatchObject({code: 'ECONNRESET'});
});
