// The agent on another machine: a separate network namespace, connected to the relay's.
import {expect} from 'vitest';
import {Child, run} from '../helpers/child.js';
import {twoHosts} from '../helpers/net-ns.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';

test('an agent on another host serves visitors of the relay by name and by port', async ({scope}) => {
  const wire = await twoHosts(scope, {'r1.example.test': 'one', 'demo.r1.example.test': 'one'});
  const relay = await startRelayProcess(scope, {
    domain: 'r1.example.test',
    listen: '0.0.0.0:443',
    namespace: wire.one.namespace,
    tcpPorts: '20000-20009',
  });
  expect(relay.url).toBe('https://r1.example.test');
  // The upstream listens on the loopback of the agent's host, which the relay's host cannot reach.
  const upstream = Child.start(
    scope,
    process.execPath,
    [
      '-e',
      `require('node:http').createServer((request, response) => response.end('from ' + request.headers.host))
        .listen(8000, '127.0.0.1', () => console.log('up'))`,
    ],
    {namespace: wire.two.namespace},
  );
  await upstream.line((line) => line === 'up');
  const {ready} = await relay.expose(8000, {
    namespace: wire.two.namespace,
    flags: ['--subdomain', 'demo', '--tcp'],
  });
  expect(ready.url).toBe('https://demo.r1.example.test');
  expect(ready.tcp?.host).toBe('r1.example.test');
  expect(ready.tcp?.port).toBeGreaterThanOrEqual(20000);
  expect(ready.tcp?.port).toBeLessThanOrEqual(20009);
  const visit = async (...args: string[]) => {
    const got = await run(scope, 'curl', ['-sS', '--max-time', '20', ...args], {
      namespace: wire.one.namespace,
    });
    return got.code === 0 ? got.stdout : got.stderr;
  };
  expect(await visit('--cacert', relay.caFile, 'https://demo.r1.example.test/')).toBe(
    'from demo.r1.example.test',
  );
  expect(await visit(`http://${ready.address}/`)).toBe(`from ${ready.address}`);
  expect(await visit('--cacert', relay.caFile, 'https://r1.example.test/healthz')).toContain('ok');
});
