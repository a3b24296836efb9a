// The page for operators shows egresses with their addresses and users, and networks with their members and bytes, at a relay
// of two workers; and `tunl relay status` tells the same.

import {createServer} from 'node:http';
import {chromium, type Page} from 'playwright-core';
import {expect} from 'vitest';
import type {RelayNetworkEvent} from '../../src/lib/cli/relay-events.js';
import {EgressClient} from '../../src/lib/egress/client.js';
import {openLink} from '../../src/lib/open-link.js';
import {run} from '../helpers/child.js';
import {runCli, startCli} from '../helpers/cli.js';
import {LOW_CONTRAST} from '../helpers/contrast.js';
import {startEcho} from '../helpers/egress-places.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const BODY_BYTES = 3_000_000;

async function openPage(scope: Scope, problems: string[]): Promise<Page> {
  const args = ['--headless', '--no-sandbox', '--disable-gpu'];
  const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args});
  scope.onEnd(() => browser.close());
  const page = await browser.newPage({viewport: {width: 1000, height: 900}});
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(error.message));
  return page;
}

/** A relay with two egresses and two networks, connections by one egress, and a download from member to member. */
async function busyRelay(scope: Scope) {
  const stateDir = await scope.tempDir('relay');
  const sets = ['--egress', 'my-proxy=127.0.0.2,127.0.0.3', '--egress', 'db=127.0.0.9'];
  const flags = [...sets, '--egress-allow-private', '127.0.0.1/32', '--metrics-listen', '127.0.0.1:0'];
  const relay = await startRelayProcess(scope, {stateDir, flags: [...flags, '--workers', '2']});
  const {metrics} = await relay.cli.event('listening');
  const {url, caFile, token} = relay;
  const link = await openLink({relay: url, caFile, token, stateDir: await scope.tempDir('state')});
  scope.onEnd(() => link.close());
  const client = new EgressClient(link, {egress: 'my-proxy'});
  const to = {host: '127.0.0.1', port: await startEcho(scope)};
  for (let i = 0; i < 2; i += 1) {
    const stream = await client.connect(to);
    scope.onEnd(() => void stream.destroy());
  }
  const web = await scope.listen(
    createServer((_request, response) => response.end(Buffer.alloc(BODY_BYTES, 'x'))),
  );
  // Members that share no temporary folder meet at the relay.
  const machine = async () => ({...relay.env, TMPDIR: await scope.tempDir('machine')});
  const words = ['net', 'serve', 'lab', '--name', 'trainer', `8000:${web}`, '--json'];
  const trainer = await startCli(scope, words, {env: await machine()});
  await trainer.event('network');
  const forward = ['net', 'forward', 'lab', 'trainer:8000', '--json'];
  const port = await startCli(scope, forward, {env: await machine()});
  const {address} = await port.event('member-port');
  const got = await run(scope, 'sh', ['-c', `curl -sS http://${address}/ | wc -c`], {});
  expect(got.stdout.trim()).toBe(String(BODY_BYTES));
  return {relay, stateDir, page: `http://127.0.0.1:${metrics?.port}/`};
}

test('egresses, and members with their bytes, as a page and as events', async ({scope}) => {
  const busy = await busyRelay(scope);
  const status = await runCli(scope, ['relay', 'status', '--json'], {stateDir: busy.stateDir});
  const network = status.cli.events.find(({type}) => type === 'relay-network') as RelayNetworkEvent;
  const trainer = network.members.find(({name}) => name === 'trainer');
  const other = network.members.find(({name}) => name !== 'trainer');
  expect(trainer?.bytesOut).toBeGreaterThan(BODY_BYTES);
  expect(trainer?.bytesIn).toBeGreaterThan(0);
  expect(trainer?.bytesIn).toBeLessThan(BODY_BYTES);
  // Each process counts its own member.
  expect(other?.bytesIn).toBe(trainer?.bytesOut);
  expect(other?.bytesOut).toBe(trainer?.bytesIn);

  const problems: string[] = [];
  const page = await openPage(scope, problems);
  await page.goto(busy.page);
  const row = (text: string) => page.locator('tr', {hasText: text});
  await row('my-proxy').waitFor();
  expect(await row('my-proxy').locator('td').allTextContents()).toEqual([
    'my-proxy',
    '127.0.0.2127.0.0.3',
    expect.stringMatching(/ 2$/),
    '2',
  ]);
  expect(await page.locator('#egresses-caption').textContent()).toBe('2 connections open, 2 so far');
  const cells = await row(trainer?.address ?? '?')
    .locator('td')
    .allTextContents();
  expect(cells).toEqual([
    'net:lab',
    `trainer ${trainer?.address}`,
    trainer?.owner,
    trainer?.session,
    expect.stringMatching(/B$/),
    expect.stringMatching(/^3(\.\d)? MB$/),
  ]);
  await row('takes no connections').waitFor();
  expect(await page.locator('#networks-caption').textContent()).toMatch(/^Members: 2 in all\./);
  await row('db').locator('td', {hasText: '–'}).waitFor();
  expect(problems).toEqual([]);

  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({colorScheme});
    for (const width of [400, 1000]) {
      await page.setViewportSize({width, height: 800});
      const wide = '[document.documentElement.scrollWidth, document.documentElement.clientWidth]';
      const [scroll = 0, client = 0] = await page.evaluate<number[]>(wide);
      expect(scroll, `${colorScheme} ${width}`).toBeLessThanOrEqual(client);
      expect(await page.evaluate(LOW_CONTRAST), `${colorScheme} ${width}`).toEqual([]);
    }
  }
});

test('an address that the machine has lost is marked; a relay without egresses and networks shows no table', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope, {flags: ['--metrics-listen', '127.0.0.1:0']});
  const {metrics} = await relay.cli.event('listening');
  const page = await openPage(scope, []);
  const address = `http://127.0.0.1:${metrics?.port}/`;
  await page.goto(address);
  await page.locator('#state', {hasText: 'running'}).waitFor();
  expect(await page.locator('#egresses-section, #networks-section').evaluateAll(HIDDEN)).toEqual([
    true,
    true,
  ]);
  // The same relay, as if it had an egress with an address that is gone.
  const lost = {
    egress: 'out',
    addresses: [{address: '203.0.113.7', healthy: false}],
    connections: 0,
    owners: [],
  };
  await page.exposeFunction('told', (text: string) =>
    JSON.stringify({...JSON.parse(text), egresses: [lost]}),
  );
  await page.addInitScript(WITH_LOST);
  await page.goto(address);
  await page.locator('#egresses .bad', {hasText: '203.0.113.7, lost'}).waitFor();
});

const HIDDEN = (sections: {hidden: boolean}[]) => sections.map(({hidden}) => hidden);

/** Runs in the page: its events go through `told`. */
const WITH_LOST = `
  const Real = window.EventSource;
  window.EventSource = class extends Real {
    addEventListener(type, listener) {
      super.addEventListener(type, async (event) =>
        listener(type === 'message' ? {data: await window.told(event.data)} : event));
    }
  };`;
