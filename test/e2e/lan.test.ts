// `tunl expose --lan`: a second machine in the same network loads the page, and can do nothing else. The machines are network
// namespaces.
import {writeFile} from 'node:fs/promises';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {expect} from 'vitest';
import {run} from '../helpers/child.js';
import {entry, expose, runCli, startCli} from '../helpers/cli.js';
import {addHost, type Host, twoHosts} from '../helpers/net-ns.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';

async function site(scope: Scope): Promise<string> {
  const folder = await scope.tempDir('site');
  await writeFile(join(folder, 'index.html'), 'hello, phone');
  return `${folder}/`;
}

const curl = (scope: Scope, {namespace}: Host, ...args: string[]) =>
  run(scope, 'curl', ['-sS', '--max-time', '20', ...args], {namespace});

test('another machine loads the page by the address, and checks the certificate for it', async ({scope}) => {
  const {one, two} = await twoHosts(scope);
  const stateDir = await scope.tempDir('state');
  const folder = await site(scope);
  const options = {namespace: one.namespace, stateDir, flags: ['--lan']};
  const {cli, ready} = await expose(scope, folder, options);
  const {hostname, port} = new URL(ready.url ?? '');
  expect(ready).toMatchObject({address: ready.url, lan: {others: []}, tls: {host: one.address}});
  expect(hostname).toBe(one.address);
  const caFile = ready.relay.caFile ?? '';
  const ask = ['--cacert', caFile, `${ready.url}/`];
  expect(await curl(scope, two, ...ask)).toMatchObject({code: 0, stdout: 'hello, phone'});
  // This machine itself can use it as well.
  expect(await curl(scope, one, ...ask)).toMatchObject({code: 0, stdout: 'hello, phone'});
  // Without the CA there is only the warning about the certificate.
  expect((await curl(scope, two, `${ready.url}/`)).code).toBe(60);
  expect(await curl(scope, two, '--insecure', `${ready.url}/`)).toMatchObject({stdout: 'hello, phone'});
  await cli.stop();

  const again = await expose(scope, folder, options);
  expect(new URL(again.ready.url ?? '').port).toBe(port);
  // Browsers remember the certificate for which their user has made an exception.
  const pinned = ['--insecure', '-w', '%{certs}', '-o', '/dev/null', `${ready.url}/`];
  const certificate = await curl(scope, two, ...pinned);
  expect(certificate.stdout).toContain('BEGIN CERTIFICATE');
  await again.cli.stop();
  const third = await expose(scope, folder, options);
  expect((await curl(scope, two, ...pinned)).stdout).toBe(certificate.stdout);
  await third.cli.stop();
});

test('the machine’s name in the network, and an IPv6 address, with a program', async ({scope}) => {
  const {one, two} = await twoHosts(scope);
  const [device = ''] = /v\w+a/.exec(await one.run('ip', '-o', 'link')) ?? [];
  await one.run('ip', 'address', 'add', 'fd00:7::1/64', 'dev', device, 'nodad');
  await two.run('ip', 'address', 'add', 'fd00:7::2/64', 'dev', device.replace(/a$/, 'b'), 'nodad');
  const server =
    "require('http').createServer((_, r) => r.end('from a program')).listen(process.argv[1], '127.0.0.1')";
  const program = [process.execPath, '-e', server, '{port}'];
  const cli = await startCli(scope, ['expose', '--lan=fd00:7::1', '--json', '--', ...program], {
    namespace: one.namespace,
  });
  const ready = await cli.event('ready');
  const {port} = new URL(ready.url ?? '');
  expect(ready).toMatchObject({url: `https://[fd00:7::1]:${port}`, address: ready.url});
  const trusting = ['--globoff', '--cacert', ready.relay.caFile ?? ''];
  const page = await curl(scope, two, ...trusting, `${ready.address}/`);
  expect(page).toMatchObject({code: 0, stdout: 'from a program'});
  const name = `${hostname().split('.')[0]?.toLowerCase()}.local`;
  const named = ['--resolve', `${name}:${port}:[fd00:7::1]`, `https://${name}:${port}/`];
  expect((await curl(scope, two, ...trusting, ...named)).stdout).toBe(page.stdout);
});

test('a stranger in the network reaches this tunnel and nothing else: no login, no other name, no other port', async ({
  scope,
}) => {
  const {one, two} = await twoHosts(scope);
  const {ready} = await expose(scope, await site(scope), {namespace: one.namespace, flags: ['--lan']});
  const {port} = new URL(ready.url ?? '');
  const relay = new URL(ready.relay.url);
  const upgrade = [
    ...['--insecure', '--http1.1', '-o', '/dev/null', '-w', '%{http_code}'],
    ...['-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket', '-H', 'Sec-WebSocket-Version: 13'],
    ...['-H', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '-H', 'Sec-WebSocket-Protocol: tunl.v1'],
  ];
  const via = (name: string) => ['--connect-to', `::${one.address}:${port}`, `https://${name}:${port}/agent`];
  // On loopback the upgrade succeeds, and the connection stays open.
  const here = ['--max-time', '2', `${relay.origin}/agent`, '--resolve', `${relay.host}:127.0.0.1`];
  expect((await curl(scope, one, ...upgrade, ...here)).stdout).toBe('101');
  // The relay's own name, and a name of nobody.
  for (const name of [relay.hostname, `other.${relay.hostname}`]) {
    const refused = await curl(scope, two, ...upgrade, ...via(name));
    expect(refused).toMatchObject({stdout: '000', code: 35});
    expect(refused.stderr).toContain('unrecognized name');
  }
  // By the address the service gets the request, not the relay.
  expect((await curl(scope, two, ...upgrade, `${ready.url}/agent`)).stdout).toBe('404');
  expect((await curl(scope, two, '--insecure', `https://${one.address}:${relay.port}/`)).code).toBe(7);
  const listening = await one.run('ss', '-Htln');
  const open = listening.split('\n').flatMap((line) => line.trim().split(/\s+/)[3] ?? []);
  expect(open.filter((at) => !at.startsWith('127.0.0.1:') && !at.startsWith('[::1]:'))).toEqual([
    `${one.address}:${port}`,
  ]);
});

test('without a network, with a relay elsewhere, with --tcp: an error with its code', async ({scope}) => {
  const host = await addHost(scope, {namespace: `tunl-lan-${process.pid}`, address: '127.0.0.1'});
  const {namespace} = host;
  const fails = async (...flags: string[]) => {
    const {cli, code} = await runCli(scope, ['expose', '8000', '--json', ...flags], {namespace});
    return [cli.error?.code, code];
  };
  expect(await fails('--lan')).toEqual(['LAN_ADDRESS_MISSING', 8]);
  expect(await fails('--lan=10.9.9.9')).toEqual(['LAN_ADDRESS_MISSING', 8]);
  expect(await fails('--lan', '--relay', 'https://r1.example.net')).toEqual(['LAN_WITH_RELAY', 2]);
  expect(await fails('--lan', '--tcp')).toEqual(['LAN_WITH_TCP', 2]);
});

test('for people: who can connect, why the phone warns, and in a terminal a QR code', async ({scope}) => {
  const {one} = await twoHosts(scope);
  const stateDir = await scope.tempDir('state');
  const folder = await site(scope);
  const cli = await startCli(scope, ['expose', folder, '--lan'], {namespace: one.namespace, stateDir});
  const address = await cli.line();
  expect(address).toMatch(new RegExp(`^https://${one.address}:\\d+$`));
  await cli.saidOnStderr(/everybody in this network \(v[0-9a-f]+a\) can connect/);
  await cli.saidOnStderr(/A phone does not know tunl’s certificate/);
  await cli.stop();
  expect(cli.stdout).toBe(`${address}\n`);
  expect(cli.stderr).not.toContain('▀');

  const env = {TUNL_STATE_DIR: stateDir, HOME: stateDir};
  const screen = await Screen.start(scope, {columns: 120, rows: 50, env});
  const command = [process.execPath, entry, 'expose', folder, '--lan'].join(' ');
  await screen.run(`ip netns exec ${one.namespace} ${command}`);
  await screen.until((lines) => lines.some((line) => line.includes('▀▀')));
  await screen.until((lines) => lines.some((line) => line.includes('this network only')));
  await screen.press('C-c');
  await screen.until((lines) => lines.some((line) => line.includes('closed after')));
});
