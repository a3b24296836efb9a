// What plain HTTP is told: the same place over HTTPS, at names of this relay and nowhere else.

import {connect} from 'node:net';
import {expect, test} from 'vitest';
import {startRelay} from '../../../src/lib/relay/start.js';
import {Scope} from '../../helpers/scope.js';

/** Everything that the server says to `text`. */
async function ask(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

test.each([
  ['the relay’s own name', 'r1.localhost', '/x?y=1', 'https://r1.localhost:8443/x?y=1'],
  [
    'a name below it, in capitals, with a port',
    'Demo.R1.localhost:80',
    '/',
    'https://demo.r1.localhost:8443/',
  ],
  ['another name', 'elsewhere.example', '/x', 'https://r1.localhost:8443/x'],
  ['a name that only ends like one', 'xr1.localhost', '/', 'https://r1.localhost:8443/'],
  ['a place before the name', 'elsewhere.example/.r1.localhost', '/', 'https://r1.localhost:8443/'],
  ['a query before the name', 'elsewhere.example?.r1.localhost', '/', 'https://r1.localhost:8443/'],
  ['a fragment before the name', 'elsewhere.example#.r1.localhost', '/', 'https://r1.localhost:8443/'],
  ['a backslash before the name', 'elsewhere.example\\.r1.localhost', '/', 'https://r1.localhost:8443/'],
  ['a user before the name', 'a@b.r1.localhost', '/', 'https://r1.localhost:8443/'],
  ['no path', 'r1.localhost', '*', 'https://r1.localhost:8443/'],
])('%s', async (_what, host, path, location) => {
  await using scope = new Scope();
  const relay = scope.own(
    await startRelay({
      domain: 'r1.localhost',
      listenHttp: '127.0.0.1:0',
      publicPort: 8443,
      token: '',
      stateDir: await scope.tempDir('relay'),
    }),
  );
  const method = path === '*' ? 'OPTIONS' : 'GET';
  const answer = await ask(
    relay.httpAddress?.port ?? 0,
    `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 308 /);
  expect(/^Location: (.*)\r$/m.exec(answer)?.[1]).toBe(location);
});
