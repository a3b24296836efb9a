import {createServer} from 'node:net';
import {expect, test} from 'vitest';
import {listenOn} from '../../../../src/lib/relay/doors/listen.js';

const LOOPBACK = '127.0.0.1';

test('the result has the port that the system chose', async () => {
  const server = createServer();
  const {host, port} = await listenOn(server, {host: LOOPBACK, port: 0}, false);
  expect([host, port > 0]).toEqual([LOOPBACK, true]);
  server.close();
});

test('a port in use is named in the error, and a later error does not end the process', async () => {
  const first = createServer();
  const second = createServer();
  const {port} = await listenOn(first, {host: LOOPBACK, port: 0}, false);
  await expect(listenOn(second, {host: LOOPBACK, port}, false)).rejects.toMatchObject({
    code: 'LISTEN_IN_USE',
    message: expect.stringContaining(`${LOOPBACK}:${port}`),
  });
  first.emit('error', new Error('EMFILE'));
  first.close();
});

test('an address that is not on this machine', async () => {
  await expect(listenOn(createServer(), {host: '192.0.2.1', port: 0}, false)).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
  });
});
