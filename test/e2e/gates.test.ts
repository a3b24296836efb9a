// The same pages, programs and bytes behind each gate as without one: with what a visitor needs they are in, without it out.

import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import {Agent} from 'node:https';
import {join} from 'node:path';
import type {BrowserContext, Page} from 'playwright-core';
import {expect} from 'vitest';
import {WebSocket} from 'ws';
import type {ReadyEvent} from '../../src/lib/agent/events.js';
import {type BrowserOptions, startBrowser} from '../helpers/browser.js';
import {MiB, sha256Of} from '../helpers/bytes.js';
import {run} from '../helpers/child.js';
import {type Exposed, runCli} from '../helpers/cli.js';
import {LIVE_SCRIPT} from '../helpers/live-page.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {type HttpUpstream, httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

const PASSWORD = 'correct horse battery';

interface Gate {
  flags: string[];
  /** What programs send. */
  headers: (ready: ReadyEvent) => Record<string, string>;
  /** What a browser opens. */
  address: (ready: ReadyEvent) => string;
  browser?: Pick<BrowserOptions, 'httpCredentials'>;
  /** Without it nobody is in. */
  closed: boolean;
}

const tokenOf = ({link = ''}: ReadyEvent) => link.split('tunl=')[1] ?? '';
const BASIC = `Basic ${Buffer.from(`guest:${PASSWORD}`).toString('base64')}`;
const httpCredentials = {username: 'guest', password: PASSWORD};
const toUrl = ({url}: ReadyEvent) => `${url}/`;

const GATES: Readonly<Record<string, Gate>> = {
  none: {flags: [], headers: () => ({}), address: toUrl, closed: false},
  '--private': {
    flags: ['--private'],
    headers: (ready) => ({authorization: `Bearer ${tokenOf(ready)}`}),
    address: ({address}) => address,
    closed: true,
  },
  '--basic-auth': {
    flags: ['--basic-auth', 'guest'],
    headers: () => ({authorization: BASIC}),
    address: toUrl,
    browser: {httpCredentials},
    closed: true,
  },
  '--private --basic-auth --forwarded': {
    flags: ['--private', '--basic-auth', 'guest', '--forwarded'],
    headers: (ready) => ({authorization: BASIC, 'tunl-access': tokenOf(ready)}),
    address: ({address}) => address,
    browser: {httpCredentials},
    closed: true,
  },
  '--forwarded': {flags: ['--forwarded'], headers: () => ({}), address: toUrl, closed: false},
};

/** Parts of it are loaded by the browser itself: a script, an image, a frame. */
const PAGE = `<!doctype html><title>through the gate</title>
<script src="/script.js?bytes"></script><img id="image" src="/bytes?n=10"><a id="save" download="saved.bin" href="/bytes?n=100000&seed=3">save</a>
<script>
  window.openSocket = () => new Promise((resolve, reject) => {
    const socket = new WebSocket('wss://' + location.host + '/echo');
    socket.onopen = () => { window.socket = socket; resolve(); };
    socket.onerror = () => reject(new Error('socket'));
    window.socketClosed = new Promise((resolve) => { socket.onclose = resolve; });
  });
  ${LIVE_SCRIPT}
</script>`;

interface Setting {
  scope: Scope;
  relay: RelayProcess;
  upstream: HttpUpstream;
  exposed: Exposed;
  gate: Gate;
}

async function inChromium(
  browser: BrowserContext,
  {exposed: {ready}, gate, upstream}: Setting,
): Promise<Page> {
  const tab = await browser.newPage();
  await tab.goto(gate.address(ready));
  // No token is left in the address or the history.
  expect(tab.url()).toBe(`${ready.url}/`);
  expect(await tab.title()).toBe('through the gate');
  // The parts of the page came as well.
  const parts = await tab.evaluate(
    'performance.getEntriesByType("resource").map((entry) => entry.responseStatus)',
  );
  expect(new Set(parts as number[])).toEqual(new Set([200]));
  await tab.evaluate('openSocket()');
  for (const text of ['one', 'ü'.repeat(50_000)])
    expect(await tab.evaluate(`say(${JSON.stringify(text)})`)).toBe(text);
  await tab.evaluate('listen()');
  await upstream.listening(1);
  for (const [index, text] of ['first', 'second'].entries()) {
    upstream.tick(text);
    await tab.waitForFunction(`received.length === ${index + 1}`);
  }
  upstream.endEvents();
  const saving = tab.waitForEvent('download');
  await tab.click('#save');
  const saved = await readFile(await (await saving).path());
  expect(saved.length).toBe(100_000);
  await tab.reload();
  expect(await tab.title()).toBe('through the gate');
  await tab.evaluate('openSocket()');
  return tab;
}

async function withCurl({scope, relay, exposed: {ready}, gate}: Setting): Promise<void> {
  const own = Object.entries(gate.headers(ready)).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const ask = async (...args: string[]) => (await curl(scope, relay.caFile, args)).stdout;
  const page = await ask(...own, `${ready.url}/`);
  expect(page).toBe(PAGE);
  expect(await ask(...own, '--http1.0', `${ready.url}/`)).toBe(PAGE);
  const file = join(await scope.tempDir('upload'), 'file');
  await writeFile(file, Buffer.alloc(5 * MiB));
  const bytes = {bytes: 5 * MiB, sha256: sha256Of(5 * MiB, 0)};
  for (const how of [
    ['-T', file],
    ['-H', 'Expect: 100-continue', '-T', file],
    ['-H', 'Transfer-Encoding: chunked', '-T', file],
  ]) {
    const answer = JSON.parse(await ask(...own, ...how, `${ready.url}/upload`));
    expect(answer.bytes).toBe(bytes.bytes);
  }
  // Two requests over one connection.
  const two = await ask(
    ...own,
    '--write-out',
    '%{num_connects}',
    `${ready.url}/bytes?n=1`,
    '-o',
    '/dev/null',
    `${ready.url}/bytes?n=1`,
    '-o',
    '/dev/null',
  );
  expect(two).toBe('10');
  if (!gate.closed) return;
  const status = ['-o', '/dev/null', '--write-out', '%{http_code} %{redirect_url}'];
  for (const path of ['/', '/upload', '/events', '/echo'])
    expect(await ask(...status, '-X', path === '/upload' ? 'PUT' : 'GET', `${ready.url}${path}`)).toBe(
      '401 ',
    );
  const refusal = JSON.parse(await ask(`${ready.url}/`));
  expect(refusal.error.code).toMatch(/_NEEDED$/);
}

const PYTHON = `
import json, socket, ssl, sys, http.client
url, host, port, ca, headers = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], json.loads(sys.argv[5])
# Python does not resolve names below .localhost.
lookup = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: lookup('127.0.0.1', *more, **named)
context = ssl.create_default_context(cafile=ca)
connection = http.client.HTTPSConnection(host, port, context=context)
for _ in range(2):
    connection.request('GET', '/bytes?n=7', headers=headers)
    print(connection.getresponse().read().__len__())
connection.request('PUT', '/upload', body=(b'x' * 1000 for _ in range(10)), headers=headers, encode_chunked=True)
print(json.loads(connection.getresponse().read())['bytes'])
connection.request('GET', '/bytes?n=7')
print(connection.getresponse().status)
`;

async function withPython({scope, relay, exposed: {ready}, gate}: Setting): Promise<void> {
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const {stdout, stderr} = await run(scope, 'python3', [
    '-c',
    PYTHON,
    ready.url ?? '',
    host,
    String(port),
    relay.caFile,
    JSON.stringify(gate.headers(ready)),
  ]);
  expect([stderr, stdout.trim().split('\n')]).toEqual(['', ['7', '7', '10000', gate.closed ? '401' : '200']]);
}

async function withWs({scope, relay, exposed: {ready}, gate}: Setting): Promise<void> {
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const open = (headers: Record<string, string>) => {
    const socket = new WebSocket(`wss://127.0.0.1:${port}/echo`, {
      agent: new Agent({ca: caOf, servername: host}),
      headers: {host: `${host}:${port}`, ...headers},
    });
    scope.onEnd(() => socket.terminate());
    return socket;
  };
  const caOf = await readFile(relay.caFile);
  const socket = open(gate.headers(ready));
  await once(socket, 'open');
  for (const message of [Buffer.from('text'), Buffer.alloc(1_000_000, 7)]) {
    socket.send(message);
    expect(Buffer.compare((await once(socket, 'message'))[0] as Buffer, message)).toBe(0);
  }
  if (gate.closed) expect(String((await once(open({}), 'error'))[0])).toContain('401');
}

test.for(Object.entries(GATES))('behind %s', async ([name, gate], {scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope, PAGE);
  const exposed = await relay.expose(upstream.port, {
    flags: gate.flags,
    env: {TUNL_BASIC_AUTH_PASSWORD: PASSWORD},
  });
  const setting: Setting = {scope, relay, upstream, exposed, gate};
  const {ready} = exposed;
  expect(ready.open).toBe(gate.closed ? undefined : true);
  const browser = await startBrowser(scope, {caFile: relay.caFile, ...gate.browser});
  const tab = await inChromium(browser, setting);
  await withCurl(setting);
  await withPython(setting);
  await withWs(setting);
  const seen = upstream.seen.join('\n');
  if (gate.closed) {
    for (const secret of [BASIC, PASSWORD, tokenOf(ready), '__Host-tunl', 'tunl-access'].filter(Boolean))
      expect(seen.toLowerCase()).not.toContain(secret.toLowerCase());
    expect(seen).toContain('|Tunl-Visitor|');
  }
  if (name.includes('--forwarded')) expect(seen).toContain('|X-Forwarded-For|127.0.0.1|');
  else expect(seen).not.toMatch(/forwarded/i);
  if (!name.includes('--private')) return;
  // Another browser is out; and so is this one when its link is withdrawn.
  const stranger = await (
    await browser.browser()?.newContext(gate.browser?.httpCredentials && {httpCredentials})
  )?.newPage();
  const refused = await stranger?.goto(`${ready.url}/`);
  expect([refused?.status(), await stranger?.title(), stranger?.url()]).toEqual([
    401,
    'This page is private',
    `${ready.url}/`,
  ]);
  // And so is this one when its link is withdrawn: at once, with its WebSocket.
  const {stateDir} = exposed.cli;
  const {code} = await runCli(scope, ['share', 'revoke', tokenOf(ready).slice(0, 6)], {stateDir});
  expect(code).toBe(0);
  await tab.evaluate('socketClosed');
  expect((await tab.reload())?.status()).toBe(401);
  expect(await tab.title()).toBe('This link is not valid any more');
});
