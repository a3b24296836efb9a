import {createServer} from 'node:net';
import {expect, test} from 'vitest';
import {listenOn} from '../../../../src/lib/relay/doors/listen.js';

const LOOPBACK = '127.0.0.1';

test('the port that the system chose is told', async () => {
  const server = createServer();
  const {host, port} = await listenOn(server, {host: LOOPBACK, port: 0}, false);
  expect([host, port > 0]).toEqual([LOOPBACK, true]);
  server.close();
});

test('a port that another has is named, and an error later does not end the process', async () => {
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

test('an address that this machine does not have', async () => {
  await expect(listenOn(createServer(), {host: '192.0.2.1', port: 0}, false)).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
  });
});
