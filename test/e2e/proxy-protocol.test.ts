// `--proxy-protocol`: real servers get the addresses of their visitors, at a port, a Unix socket, and before TLS.

import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {afterAll, beforeAll, expect} from 'vitest';
import {Child, run} from '../helpers/child.js';
import {runCli} from '../helpers/cli.js';
import {listens, startNginxAt} from '../helpers/nginx.js';
import {opensslAuthority} from '../helpers/openssl.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {record} from '../helpers/upstreams.js';

let shared: Scope;
let relay: RelayProcess;
/** An nginx and the ways to it, by their names in the table below. */
let ways: Map<string, readonly string[]>;

beforeAll(async () => {
  shared = new Scope();
  relay = await startRelayProcess(shared, {listen: '[::]:0'});
  const [port, tlsPort] = [await unusedPort(), await unusedPort()];
  const path = join(await shared.tempDir('app'), 'app.sock');
  const {caFile, issue} = await opensslAuthority(shared);
  const {certFile, keyFile} = await issue('localhost');
  await startNginxAt(shared, 0, {
    listen: [
      `127.0.0.1:${port} proxy_protocol`,
      `127.0.0.1:${tlsPort} ssl proxy_protocol`,
      `unix:${path} proxy_protocol`,
    ].join('; listen '),
    place: {host: '127.0.0.1', port},
    settings: [
      `ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};`,
      'location / { return 200 "$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_port"; }',
    ],
  });
  ways = new Map([
    ['a port', [String(port)]],
    ['a Unix socket', [`unix:${path}`]],
    ['TLS', [`https://localhost:${tlsPort}`, '--upstream-ca', caFile]],
  ]);
}, 60_000);

afterAll(async () => await shared[Symbol.asyncDispose]());

/** The answer to a visitor from this address, and its own port. */
async function visit(scope: Scope, url: string, from: string) {
  const {port, hostname} = new URL(url);
  const to = from.includes(':') ? '[::1]' : '127.0.0.1';
  const {stdout, stderr, code} = await run(scope, 'curl', [
    ...['--silent', '--show-error', '--max-time', '60', '--noproxy', '*', '--cacert', relay.caFile],
    ...['--resolve', `${hostname}:${port}:${to}`, '--interface', from, '--write-out', '\n%{local_port}', url],
  ]);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  const [answer = '', own = ''] = stdout.split('\n');
  return {answer: answer.split('|'), own};
}

test.for([
  ['a port', '1'],
  ['a port', '2'],
  ['a Unix socket', '1'],
  ['a Unix socket', '2'],
  ['TLS', '1'],
  ['TLS', '2'],
] as const)('nginx at %s with version %s', async ([way, version], {scope}) => {
  const [target = '', ...flags] = ways.get(way) ?? [];
  const {ready} = await relay.expose(target, {flags: [...flags, '--proxy-protocol', version]});
  const url = ready.url ?? '';
  for (const from of ['127.0.0.9', '::1']) {
    const {answer, own} = await visit(scope, url, from);
    expect(answer).toEqual([from, own, new URL(url).port]);
  }
});

test.for(['1', '2'] as const)(
  'haproxy with version %s, over TLS and over a TCP port, and its log has nothing to complain about',
  async (version, {scope}) => {
    const [port, ownPort] = [await unusedPort(), await unusedPort()];
    const config = join(await scope.tempDir('haproxy'), 'haproxy.cfg');
    const lines = [
      'global\n  log stdout format raw local0',
      'defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  log global\n  option dontlog-normal',
      `frontend f\n  bind 127.0.0.1:${port} accept-proxy\n  bind 127.0.0.1:${ownPort}`,
      '  http-request return status 200 content-type text/plain lf-string "%ci|%cp|%fp"',
    ];
    await writeFile(config, `${lines.join('\n')}\n`);
    const haproxy = Child.start(scope, '/usr/sbin/haproxy', ['-db', '-f', config]);
    await listens({host: '127.0.0.1', port: ownPort});
    const {ready} = await relay.expose(port, {flags: ['--tcp', '--proxy-protocol', version]});
    const tls = await visit(scope, ready.url ?? '', '127.0.0.9');
    expect(tls.answer).toEqual(['127.0.0.9', tls.own, new URL(ready.url ?? '').port]);
    const tcp = await visit(scope, `http://127.0.0.1:${ready.tcp?.port}/`, '127.0.0.9');
    expect(tcp.answer).toEqual(['127.0.0.9', tcp.own, String(ready.tcp?.port)]);
    expect(haproxy.stdout.split('\n').filter((line) => /PROXY|SSL|BADREQ/.test(line))).toEqual([]);
  },
);

test('checks of the upstream begin with a header that names no visitor', async ({scope}) => {
  const firsts: string[] = [];
  const asked = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    const heard = record(socket);
    void heard.closed.then(() => {
      firsts.push(heard.data().toString('latin1').slice(0, 22));
      if (firsts.length === 2) asked.resolve();
    });
    // Like a TLS server that is asked in plain HTTP: a visitor gets no answer, and the agent asks for TLS.
    socket.once('data', () => socket.end());
  });
  const port = await scope.listen(server);
  const {ready} = await relay.expose(port, {flags: ['--proxy-protocol', '1']});
  await run(scope, 'curl', [
    '--silent',
    '--insecure',
    '--noproxy',
    '*',
    '--resolve',
    `${new URL(ready.url ?? '').host}:127.0.0.1`,
    `${ready.url}/`,
  ]);
  await asked.promise;
  expect(firsts.map((first) => first.slice(0, 13))).toEqual(['PROXY TCP4 12', 'PROXY UNKNOWN']);
  // Then TLS: the type of the record, and its version.
  expect(firsts[1]?.slice(15, 17)).toBe('\x16\x03');
});

test.for([
  [['expose', '.', '--proxy-protocol', '1'], 'A folder has no use'],
  [['expose', '8000', '--proxy-protocol', '3'], 'has the versions 1 and 2'],
] as const)('tunl %s is refused', async ([args, why], {scope}) => {
  const {code, stderr} = await runCli(scope, args, {env: relay.env});
  expect(code).toBe(2);
  expect(stderr).toContain(why);
});
