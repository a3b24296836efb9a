// Answers to plain HTTP: the same place over HTTPS, only at names of this relay.

import {once} from 'node:events';
import {connect, type Server} from 'node:net';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {listenOn} from '../../../../src/lib/relay/doors/listen.js';
import {PendingConnections} from '../../../../src/lib/relay/doors/pending.js';
import {createRedirect} from '../../../../src/lib/relay/site/redirect.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

let server: Server;
let clock: ManualClock;
let publicPort = 443;
let port = 0;

beforeEach(async () => {
  publicPort = 443;
  clock = new ManualClock();
  const pending = new PendingConnections({
    clock,
    events: {emit: () => {}},
    load: {add: () => {}},
    isTrusted: () => false,
    room: {noneForConnections: false, refused: () => {}},
  });
  server = createRedirect({domain: 'r1.example', publicPort: () => publicPort, pending});
  ({port} = await listenOn(server, {host: '127.0.0.1', port: 0}, false));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
});

/** The answer to exactly this request. */
function ask(target: string, host: string): Promise<{status: number; location: string | undefined}> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () =>
      resolve({
        status: Number(heard.split(' ')[1]),
        location: /^location: (.*)$/im.exec(heard)?.[1]?.trim(),
      }),
    );
    socket.end(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  });
}

test.each([
  ['r1.example', '/', 'https://r1.example/'],
  ['demo.r1.example', '/a/b?c=d', 'https://demo.r1.example/a/b?c=d'],
  ['Demo.R1.Example:80', '/', 'https://demo.r1.example/'],
])('%s%s redirects to the same place over https', async (host, path, location) => {
  expect(await ask(path, host)).toEqual({status: 308, location});
});

test.each([
  ['another name', 'evil.example'],
  ['a name that ends with the relay’s but is not below it', 'evilr1.example'],
  ['a name that begins with the relay’s', 'r1.example.evil.example'],
  ['a path before the name', 'elsewhere.example/.r1.example'],
  ['a query before the name', 'elsewhere.example?.r1.example'],
  ['a fragment before the name', 'elsewhere.example#.r1.example'],
  ['a backslash before the name', 'elsewhere.example\\.r1.example'],
  ['a user before the name', 'a@b.r1.example'],
  ['nothing', ''],
  ['constructor', 'constructor'],
])('with %s as Host it redirects to the relay itself', async (_what, host) => {
  expect(await ask('/', host)).toEqual({status: 308, location: 'https://r1.example/'});
});

test('a target that is not a path is left out', async () => {
  for (const target of ['http://evil.example/x', '*']) {
    expect(await ask(target, 'r1.example')).toMatchObject({location: 'https://r1.example/'});
  }
});

test('a port other than 443 stays in the address', async () => {
  publicPort = 8443;
  expect(await ask('/', 'demo.r1.example')).toMatchObject({location: 'https://demo.r1.example:8443/'});
});

test('one request is answered, and the connection ends with the answer', async () => {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    heard += chunk;
  });
  const closed = once(socket, 'close');
  socket.write('GET / HTTP/1.1\r\nHost: r1.example\r\n\r\n'.repeat(500));
  await closed;
  expect(heard.match(/HTTP\/1\.1 308/g)).toEqual(['HTTP/1.1 308']);
});

test('a request that does not come has ten seconds', async () => {
  const accepted = once(server, 'connection');
  const socket = connect(port, '127.0.0.1');
  await accepted;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => {});
  clock.advance(9_999);
  expect(socket.destroyed).toBe(false);
  socket.resume();
  clock.advance(1);
  await closed;
});
