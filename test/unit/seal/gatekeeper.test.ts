import {createSocket} from 'node:dgram';
import {once} from 'node:events';
import {createServer} from 'node:net';
import {expect} from 'vitest';
import {createLogger} from '../../../src/lib/core/logger.js';
import {Gatekeeper} from '../../../src/lib/seal/gatekeeper.js';
import {test} from '../../helpers/test.js';

test('doors that come after the end are closed: nobody else would, and they keep the process alive', async () => {
  const keeper = new Gatekeeper({
    rules: {kind: 'internet'},
    log: createLogger('seal', undefined),
    onRefused: () => {},
  });
  const door = createServer().listen(0, '127.0.0.1');
  const resolver = createSocket('udp4').bind(0, '127.0.0.1');
  await Promise.all([once(door, 'listening'), once(resolver, 'listening')]);
  keeper.close();
  keeper.addDoor(door);
  keeper.addResolver(resolver);
  expect(door.listening).toBe(false);
  expect(() => resolver.address()).toThrow();
});
