// `--private` in front of every kind of target and of programs, for several targets at once, and in the library.

import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {createServer as createHttpsServer} from 'node:https';
import {join} from 'node:path';
import {expect} from 'vitest';
import {forward} from '../../src/index.js';
import {startBrowser} from '../helpers/browser.js';
import {selfSigned} from '../helpers/certificates.js';
import {startCli} from '../helpers/cli.js';
import {until} from '../helpers/launching.js';
import {startNginxAt} from '../helpers/nginx.js';
import {startBehindRelay} from '../helpers/programs.js';
import {startRelayProcess} from '../helpers/relay.js';
import {unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

test('ports, Unix sockets, folders, https upstreams, commands, and several targets with a link each', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const folder = await scope.tempDir('site');
  await writeFile(join(folder, 'index.html'), 'from a folder');
  const socket = join(await scope.tempDir('app'), 'app.sock');
  const unix = createServer((_request, response) => response.end('from a socket'));
  await new Promise<void>((resolve) => unix.listen(socket, resolve));
  scope.onEnd(() => void unix.close());
  const https = createHttpsServer(await selfSigned(['app.internal']), (_request, response) =>
    response.end('from https'),
  );
  const {port} = await httpUpstream(scope, 'from a port');
  const cli = await startCli(
    scope,
    [
      'expose',
      '--json',
      '--private',
      '--upstream-insecure',
      String(port),
      `unix:${socket}`,
      folder,
      `https://127.0.0.1:${await scope.listen(https)}`,
    ],
    {env: relay.env},
  );
  const ask = async (url: string) => {
    const {stdout} = await curl(scope, relay.caFile, ['--write-out', '\n%{http_code}', url]);
    const at = stdout.lastIndexOf('\n');
    return [Number(stdout.slice(at + 1)), stdout.slice(0, at)] as const;
  };
  const links: string[] = [];
  for (const [tunnel, body] of [
    [String(port), 'from a port'],
    [`unix:${socket}`, 'from a socket'],
    [folder, 'from a folder'],
    ['https', 'from https'],
  ] as const) {
    const {url = '', link = ''} = await cli.event(
      'ready',
      (event) => 'tunnel' in event && String(event.tunnel).startsWith(tunnel),
    );
    expect((await ask(`${url}/`))[0]).toBe(401);
    expect(await ask(link)).toEqual([200, body]);
    // The link of another tunnel opens nothing here.
    for (const other of links) expect((await ask(`${url}/?tunl=${other.split('tunl=')[1]}`))[0]).toBe(401);
    links.push(link);
  }
  const program = await startCli(
    scope,
    [
      'expose',
      '--json',
      '--private',
      '--',
      process.execPath,
      '-e',
      'require("http").createServer((_, r) => r.end("from a command " + (process.env.TUNL_TOKEN ?? "") + (process.env.TUNL_BASIC_AUTH_PASSWORD ?? ""))).listen(process.env.PORT)',
    ],
    {env: {...relay.env, TUNL_BASIC_AUTH_PASSWORD: 'correct horse battery'}},
  );
  const {url = '', link = ''} = await program.event('ready');
  expect((await ask(`${url}/`))[0]).toBe(401);
  expect(await ask(link)).toEqual([200, 'from a command ']);
});

test('tunl terminal: behind the link its own password is asked for', async ({scope}) => {
  const shell = ['--', '/usr/bin/env', 'PS1=ready> ', '/bin/bash', '--norc', '--noprofile'];
  const {relay, cli} = await startBehindRelay(scope, ['terminal', '--json', '--private', ...shell]);
  const {address, url = '', link, login} = await cli.event('ready');
  expect(address).toBe(link);
  const httpCredentials = {username: login?.user ?? '', password: login?.password ?? ''};
  const browser = await startBrowser(scope, {caFile: relay.caFile, httpCredentials});
  const stranger = await browser.newPage();
  expect((await stranger.goto(`${url}/`))?.status()).toBe(401);
  expect(await stranger.title()).toBe('This page is private');
  const tab = await browser.newPage();
  await tab.goto(address);
  await until(
    async () => (await tab.locator('.xterm-rows > div').allTextContents()).join('\n').includes('ready>'),
    60_000,
  );
});

test('in the library: url, link, share, links and revoke', async ({scope}) => {
  const {port} = await httpUpstream(scope, 'hello');
  const stateDir = await scope.tempDir('state');
  await using tunnel = await forward(port, {private: true, stateDir});
  const caFile = tunnel.ready.relay.caFile ?? '';
  const statusOf = async (url: string) =>
    (await curl(scope, caFile, ['-o', '/dev/null', '--write-out', '%{http_code}', url])).stdout;
  expect([tunnel.ready.address, tunnel.ready.link]).toEqual([tunnel.link, tunnel.link]);
  expect(await statusOf(`${tunnel.url}/`)).toBe('401');
  expect(await statusOf(tunnel.link ?? '')).toBe('200');
  const {id, url} = tunnel.share({visitor: 'ana', expiresMs: 60_000});
  expect(await statusOf(url)).toBe('200');
  expect(tunnel.links.map(({visitor}) => visitor)).toEqual(['link', 'ana']);
  tunnel.revoke(id);
  expect(await statusOf(url)).toBe('401');
  await using open = await forward(port + 1, {stateDir});
  expect(open.link).toBeUndefined();
  expect(() => open.share()).toThrowError(expect.objectContaining({code: 'NOT_PRIVATE'}));
  await expect(
    forward(port, {basicAuth: 'guest', basicAuthPassword: 'long enough', unencrypted: true}),
  ).rejects.toMatchObject({code: 'GATE_WITH_TCP'});
  await expect(forward(port, {basicAuth: 'guest'})).rejects.toMatchObject({code: 'OPTION_INVALID'});
});

test('nginx gets the address of its visitor by headers, and by a PROXY header behind the same gate', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const [plain, proxied] = [await unusedPort(), await unusedPort()];
  await startNginxAt(scope, 0, {
    listen: `127.0.0.1:${plain}; listen 127.0.0.1:${proxied} proxy_protocol`,
    place: {host: '127.0.0.1', port: plain},
    settings: [
      'location / { return 200 "$http_forwarded|$http_x_forwarded_for|$http_x_real_ip|$proxy_protocol_addr"; }',
    ],
  });
  for (const [port, flags, proxy] of [
    [plain, [], ''],
    [proxied, ['--proxy-protocol', '2'], '127.0.0.5'],
  ] as const) {
    const {ready} = await relay.expose(port, {flags: ['--private', '--forwarded', ...flags]});
    const forged = ['Forwarded: for=1.2.3.4', 'X-Forwarded-For: 1.2.3.4', 'X-Real-IP: 1.2.3.4'].flatMap(
      (header) => ['-H', header],
    );
    const {stdout} = await curl(scope, relay.caFile, [
      '--interface',
      '127.0.0.5',
      ...forged,
      ready.link ?? '',
    ]);
    const [forwarded, ...others] = stdout.split('|');
    const {host, port: publicPort} = ready.tls ?? {host: '', port: 0};
    expect(forwarded).toMatch(
      new RegExp(`^for="127\\.0\\.0\\.5:\\d+";host="${host}:${publicPort}";proto=https$`),
    );
    expect(others).toEqual(['127.0.0.5', '127.0.0.5', proxy]);
  }
});
