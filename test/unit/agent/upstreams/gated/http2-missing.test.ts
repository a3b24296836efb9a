// The code for HTTP/2 cannot be loaded: an upgrade has removed its file, or there is no free descriptor.

import {createServer} from 'node:http';
import {expect, vi} from 'vitest';
import {get, startGated} from '../../../../helpers/gated.js';
import {test} from '../../../../helpers/test.js';
import {unhandledRejections} from '../../../../helpers/unhandled.js';

vi.mock('../../../../../src/lib/agent/upstreams/gated/http2-gate.js', () => {
  throw new Error('no such file');
});

test('a visitor with HTTP/2 is cut off, others are served', async ({scope}) => {
  const rejections = unhandledRejections(scope);
  const port = await scope.listen(createServer((_, res) => res.end('in')));
  const {say, visit} = startGated(scope, port, {forwarded: true, h2: true});
  for (const facts of [{alpn: 'h2'}, {}]) {
    const {socket, closed} = await visit(facts);
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await closed;
  }
  expect(await say(get('/', ['Connection: close']), {alpn: 'http/1.1'})).toMatch(/^HTTP\/1\.1 200 /);
  expect(await rejections()).toEqual([]);
});
