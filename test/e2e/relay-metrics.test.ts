// The metrics listener of a relay: metrics that programs can read, health, the page for operators in a real browser, and the
// audit file.

import {spawnSync} from 'node:child_process';
import {readFileSync, renameSync, statSync} from 'node:fs';
import {request} from 'node:http';
import {join} from 'node:path';
import {chromium} from 'playwright-core';
import {expect} from 'vitest';
import {runCli} from '../helpers/cli.js';
import {LOW_CONTRAST} from '../helpers/contrast.js';
import {installed, until} from '../helpers/launching.js';
import {RawAgent} from '../helpers/raw-agent.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tlsVisitor} from '../helpers/visitors.js';

const start = async (scope: Scope, flags: readonly string[] = [], drainTimeout = '0s') => {
  const relay = await startRelayProcess(scope, {
    flags: ['--metrics-listen', '127.0.0.1:0', ...flags],
    drainTimeout,
  });
  const {metrics} = await relay.cli.event('listening');
  return {relay, port: metrics?.port ?? 0};
};

/** One request, with any Host. */
function get(port: number, path: string, headers: Record<string, string> = {}, method = 'GET') {
  return new Promise<{status: number; type: string; headers: NodeJS.Dict<string | string[]>; text: string}>(
    (resolve, reject) => {
      request(
        {host: '127.0.0.1', port, path, method, headers: {Host: `127.0.0.1:${port}`, ...headers}},
        (res) => {
          let text = '';
          res.on('data', (piece) => {
            text += String(piece);
          });
          res.on('end', () =>
            resolve({
              status: res.statusCode ?? 0,
              type: res.headers['content-type'] ?? '',
              headers: res.headers,
              text,
            }),
          );
        },
      )
        .on('error', reject)
        .end();
    },
  );
}

/** The value of a series, by its text before the value. */
const value = (text: string, series: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')[1],
  );

const visit = async (scope: Scope, relay: RelayProcess, name: string, bytes: string) => {
  const at = {host: `${name}.${relay.domain}`, port: relay.port};
  const visitor = record(await tlsVisitor(scope, at, {caFile: relay.caFile}));
  visitor.socket.write(bytes);
  await visitor.received(bytes.length);
  return visitor;
};

/** The parsers of Prometheus' own client library; that of OpenMetrics is strict. */
const CHECK = `
import sys
from prometheus_client.parser import text_string_to_metric_families as text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strict
kind, body = sys.argv[1], sys.stdin.read()
families = list((strict if kind == 'open' else text)(body))
names = [family.name for family in families]
assert len(names) == len(set(names)), 'a family comes twice'
for family in families:
    assert family.documentation, family.name + ' has no help'
    assert family.type in ('counter', 'gauge'), family.name + ' has no type'
    assert family.name.startswith('tunl_relay_'), family.name
    for sample in family.samples:
        assert set(sample.labels) <= {'version', 'link', 'direction', 'reason', 'leg'}, sample
print(len(families))
`;

test.for([1, 2])(
  'metrics of a relay with %i worker(s) are right, and clean for parsers',
  async (workers, {scope}) => {
    const {relay, port} = await start(scope, [`--workers=${workers}`]);
    const upstream = await echoUpstream(scope);
    await Promise.all(
      ['demo', 'atelier'].map((name) => relay.expose(upstream, {flags: ['--subdomain', name]})),
    );
    await visit(scope, relay, 'demo', 'hello');
    const left = await visit(scope, relay, 'atelier', 'hello world');
    left.socket.end();
    await left.closed;
    const wrong = await runCli(scope, ['expose', '80', '--json'], {
      env: {...relay.env, TUNL_TOKEN: 'x'.repeat(20)},
    });
    expect(wrong.cli.error).toMatchObject({code: 'TOKEN_WRONG'});
    await until(async () => value((await get(port, '/metrics')).text, 'tunl_relay_open_visitors') === 1);

    const {type, text} = await get(port, '/metrics');
    expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(value(text, 'tunl_relay_agents{link="up"}')).toBe(2);
    expect(value(text, 'tunl_relay_tunnels')).toBe(2);
    expect(value(text, 'tunl_relay_visitors_total')).toBe(2);
    expect(value(text, 'tunl_relay_visitor_bytes_total{direction="in"}')).toBe(16);
    expect(value(text, 'tunl_relay_visitor_bytes_total{direction="out"}')).toBe(16);
    expect(value(text, 'tunl_relay_agent_sessions_total')).toBe(2);
    expect(value(text, 'tunl_relay_binds_total')).toBe(2);
    expect(value(text, 'tunl_relay_refusals_total{reason="token_wrong"}')).toBeGreaterThanOrEqual(1);
    expect(value(text, 'tunl_relay_workers')).toBe(workers === 1 ? 0 : 2);
    expect(value(text, 'tunl_relay_ready')).toBe(1);
    // Nothing that strangers or owners choose becomes a series.
    expect(text).not.toMatch(/demo|atelier|127\.0\.0\.1|token:/);

    const open = await get(port, '/metrics', {Accept: 'application/openmetrics-text; version=1.0.0'});
    expect(open.type).toContain('application/openmetrics-text');
    for (const [kind, input] of [
      ['text', text],
      ['open', open.text],
    ] as const) {
      const {stdout, stderr, status} = spawnSync(installed.python, ['-c', CHECK, kind], {
        input,
        encoding: 'utf8',
      });
      expect({stderr, status}).toEqual({stderr: '', status: 0});
      expect(Number(stdout)).toBeGreaterThan(15);
    }

    // A request that a page of another site could make its browser send.
    for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', 'a@127.0.0.1'])
      expect((await get(port, '/metrics', {Host: host})).status, host).toBe(421);
    for (const host of ['localhost', `localhost:${port}`, '[::1]:9', '203.0.113.9'])
      expect((await get(port, '/livez', {Host: host})).status, host).toBe(200);
    expect((await get(port, '/metrics', {}, 'POST')).status).toBe(405);
    expect((await get(port, '/../package.json')).status).toBe(404);
    expect((await get(port, '/__proto__')).status).toBe(404);
    expect((await get(port, '/healthz')).status).toBe(404);
  },
);

test('a relay that drains is alive and not ready', async ({scope}) => {
  const {relay, port} = await start(scope, [], '60s');
  const upstream = await echoUpstream(scope);
  await relay.expose(upstream, {flags: ['--subdomain', 'demo']});
  expect(JSON.parse((await get(port, '/readyz')).text)).toMatchObject({
    status: 'ready',
    checks: {listens: true, accepts: true, certificate: true},
  });
  const visitor = await visit(scope, relay, 'demo', 'hello');
  relay.cli.signal('SIGTERM');
  await relay.cli.event('draining');
  const {status, text} = await get(port, '/readyz');
  expect([status, JSON.parse(text)]).toMatchObject([
    503,
    {status: 'not-ready', checks: {accepts: 'it is shutting down'}},
  ]);
  expect((await get(port, '/readyz?exclude=probe')).status).toBe(503);
  expect((await get(port, '/readyz?exclude=probe&exclude=accepts')).status).toBe(200);
  expect((await get(port, '/livez')).status).toBe(200);
  visitor.socket.end();
  expect((await relay.cli.finished()).code).toBe(0);
});

test('the audit file has a line for each act, follows a rotation, and holds no secret', async ({scope}) => {
  const file = join(await scope.tempDir('audit'), 'audit.jsonl');
  const {relay, port} = await start(scope, ['--audit-file', file, '--log-format=json', '--log-level=info']);
  const lines = (path = file) =>
    readFileSync(path, 'utf8')
      // The last one may be half written.
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const heard = (what: string, path = file) => until(() => lines(path).some((line) => line.what === what));
  const upstream = await echoUpstream(scope);
  const {cli} = await relay.expose(upstream, {flags: ['--subdomain', 'demo']});
  await heard('tunnel-bound');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const [login, bind] = lines().filter(({what}) => what === 'agent-connected' || what === 'tunnel-bound');
  expect(login).toMatchObject({
    owner: expect.stringMatching(/^token:/),
    from: expect.stringMatching(/^127\.0\.0\.1:/),
  });
  expect(bind).toMatchObject({
    owner: login?.owner,
    from: login?.from,
    session: login?.session,
    key: 'tls:demo',
  });
  // A flood of refusals is a few lines.
  for (let tries = 0; tries < 3; tries += 1)
    await runCli(scope, ['expose', '80', '--json'], {env: {...relay.env, TUNL_TOKEN: 'x'.repeat(20)}});
  await heard('token-refused');
  expect(lines().filter(({what}) => what === 'token-refused')).toHaveLength(1);

  renameSync(file, `${file}.1`);
  await runCli(scope, ['relay', 'kick', 'demo'], {stateDir: relay.cli.stateDir});
  await cli.finished();
  await until(() => statSync(file, {throwIfNoEntry: false}) !== undefined);
  await heard('kicked');
  expect(lines().find(({what}) => what === 'kicked')).toMatchObject({
    kind: 'name',
    subject: 'tls:demo',
    count: 1,
  });
  const status = await runCli(scope, ['relay', 'status', '--json'], {stateDir: relay.cli.stateDir});
  const shown = await Promise.all(
    ['/metrics', '/readyz', '/'].map(async (path) => (await get(port, path)).text),
  );
  await relay.cli.stop();
  const written = [file, `${file}.1`].map((path) => readFileSync(path, 'utf8'));
  for (const text of [...shown, ...written, status.stdout, relay.cli.stderr])
    expect(text).not.toContain(relay.token);
  // Everything on stderr is JSON.
  const logged = relay.cli.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(logged.map(({event}) => event)).toEqual(
    expect.arrayContaining(['agent-connected', 'tunnel-bound', 'kicked']),
  );
  expect(logged.every(({time}) => new Date(String(time)).toISOString() === time)).toBe(true);
});

test.for([1, 2])(
  'the audit file of a relay with %i worker(s) that has ended has the ends of its sessions',
  async (workers, {scope}) => {
    const file = join(await scope.tempDir('audit'), 'audit.jsonl');
    const relay = await startRelayProcess(scope, {flags: ['--audit-file', file, `--workers=${workers}`]});
    const {port, domain, caFile, token} = relay;
    const {agent} = await RawAgent.begin(scope, {port, domain, caFile, token});
    await agent.bindTcp();
    await relay.cli.stop();
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const written = lines.map((line) => (JSON.parse(line) as {what: string}).what);
    expect(written.sort()).toEqual(['agent-connected', 'agent-gone', 'tunnel-bound', 'tunnel-released']);
  },
);

test('the page for operators: live, without HTML of strangers, on a phone, in the dark, by keyboard', async ({
  scope,
}) => {
  const {relay, port} = await start(scope);
  const upstream = await echoUpstream(scope);
  const {cli} = await relay.expose(upstream, {flags: ['--subdomain', 'demo']});
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu'],
  });
  scope.onEnd(() => browser.close());
  const page = await browser.newPage({viewport: {width: 1000, height: 900}});
  const problems: string[] = [];
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(`http://127.0.0.1:${port}/`);
  const names = page.locator('#tunnels tr td:first-child');
  await names.filter({hasText: 'demo.r1.localhost'}).waitFor();
  expect(await page.title()).toContain('r1.localhost');

  // An agent chooses how it calls itself.
  const {caFile, token} = relay;
  const raw = await RawAgent.connect(scope, {port: relay.port, domain: relay.domain, caFile, token});
  await raw.hello({software: '<img src=x onerror=alert(1)><b>bold</b>'});
  expect(await raw.answer()).toBe('welcome');
  await raw.bindTcp();
  await page.locator('#tunnels td', {hasText: '<img src=x onerror=alert(1)><b>bold</b>'}).waitFor();
  expect(await page.locator('#tunnels img, #tunnels b').count()).toBe(0);
  raw.socket.terminate();

  // Live: a tunnel that comes and one that goes, without a click.
  const second = await relay.expose(upstream, {flags: ['--subdomain', 'atelier']});
  await names.filter({hasText: 'atelier.r1.localhost'}).waitFor();
  await cli.stop();
  await names.filter({hasText: 'demo.r1.localhost'}).waitFor({state: 'detached'});
  expect(problems).toEqual([]);

  // The structure that screen readers rely on.
  expect(await page.locator('h1').count()).toBe(1);
  expect(await page.locator('h2').allTextContents()).toEqual([
    'Now',
    'Tunnels',
    // They are shown when the relay has some.
    'Egresses',
    'Networks and clusters',
    'Refusals since the start',
    'Relay',
    'Limits',
  ]);
  expect(await page.locator('html').getAttribute('lang')).toBe('en');
  expect(await page.getByLabel('Show only').count()).toBe(1);
  expect(await page.locator('th:not([scope])').count()).toBe(0);
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
  await page.keyboard.press('Tab');
  await page.keyboard.type('nothing like this');
  await page.locator('#tunnels-caption', {hasText: '0 of 2 are shown'}).waitFor();

  // Wide and narrow, light and dark: nothing leaves the screen, and text has contrast.
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({colorScheme});
    for (const width of [360, 1000]) {
      await page.setViewportSize({width, height: 800});
      const [scroll = 0, client = 0] = await page.evaluate<number[]>(
        '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
      );
      expect(scroll, `${colorScheme} ${width}`).toBeLessThanOrEqual(client);
    }
    const low = await page.evaluate(LOW_CONTRAST);
    expect(low, colorScheme).toEqual([]);
  }

  // A strict policy, and no other site may show the page.
  const {headers} = await get(port, '/');
  expect(headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
  expect(headers['content-security-policy']).not.toContain('unsafe');
  await second.cli.stop();
  await relay.cli.stop();
  await page.locator('#state', {hasText: 'no answer'}).waitFor();
});
