// The relay's listeners for TCP tunnels: one for each port, even if several tunnels request it.

import {Server} from 'node:net';
import {expect, test, vi} from 'vitest';
import {TcpPorts} from '../../../../src/lib/relay/tunnels/tcp-ports.js';
import {accepts} from '../../../helpers/accepts.js';
import {unusedPort} from '../../../helpers/scope.js';

function setUp(reusePort: boolean) {
  return new TcpPorts({range: [0, 0], host: '127.0.0.1', reusePort});
}

test.each([false, true])(
  'two requests that open a port at the same time share one listener (reusePort: %s)',
  async (reusePort) => {
    const ports = setUp(reusePort);
    const port = await unusedPort();
    const [ann, bob] = [{}, {}];
    expect(await Promise.all([ports.open(port, ann), ports.open(port, bob)])).toEqual([port, port]);
    expect(await accepts(port)).toBe(true);
    ports.close(port, ann);
    ports.close(port, ann);
    expect(await accepts(port)).toBe(true);
    ports.close(port, bob);
    expect(await accepts(port)).toBe(false);
  },
);

test('when no descriptors are left, a port is not reported as taken', async () => {
  const ports = setUp(false);
  const port = await unusedPort();
  const listen = vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server) {
    process.nextTick(() => this.emit('error', Object.assign(new Error('listen'), {code: 'EMFILE'})));
    return this;
  });
  await expect(ports.open(port, {})).rejects.toMatchObject({code: 'RELAY_BUSY'});
  listen.mockRestore();
});

test('a port that could not be opened may be requested again', async () => {
  const ports = setUp(false);
  const other = setUp(false);
  const port = await unusedPort();
  await other.open(port, {});
  expect(await ports.open(port, {})).toBeUndefined();
  other.closeAll();
  expect(await ports.open(port, {})).toBe(port);
  ports.closeAll();
});

test.each([
  ['a port', unusedPort],
  ['any port', async () => 0],
])('%s that is being opened when the relay ends is closed', async (_what, portOf) => {
  const ports = setUp(false);
  const port = await portOf();
  const close = vi.spyOn(Server.prototype, 'close');
  const opening = ports.open(port, {});
  ports.closeAll();
  await expect(opening).rejects.toMatchObject({code: 'RELAY_BUSY'});
  expect(close).toHaveBeenCalledTimes(1);
  close.mockRestore();
  await expect(ports.open(await unusedPort(), {})).rejects.toMatchObject({code: 'RELAY_BUSY'});
});

test('a port that is released while it is being opened is closed', async () => {
  const ports = setUp(false);
  const port = await unusedPort();
  const holder = {};
  const opening = ports.open(port, holder);
  ports.close(port, holder);
  await opening;
  expect(await accepts(port)).toBe(false);
});
