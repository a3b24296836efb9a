// The page of a hub in a real browser, through a relay in another process. The sandboxes are in memory.

import {join} from 'node:path';
import type {Page} from 'playwright-core';
import {expect} from 'vitest';
import {systemClock} from '../../src/lib/core/clock.js';
import {startHub} from '../../src/lib/hub/hub.js';
import type {Template} from '../../src/lib/hub/template.js';
import {HubTokens} from '../../src/lib/hub/tokens.js';
import {startBrowser} from '../helpers/browser.js';
import {FakeSandboxes} from '../helpers/fake-sandboxes.js';
import {hubTemplate} from '../helpers/hub-template.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const template = (name: string, title: string): Template =>
  hubTemplate({
    name,
    title,
    home: 'persistent',
    timeoutMs: 3_600_000,
    idleMs: 1_800_000,
    readyTimeoutMs: 30_000,
  });

async function openHub(scope: Scope) {
  const {url, token, caFile} = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('hub');
  const sandboxes = new FakeSandboxes();
  scope.onEnd(() => sandboxes.closeAll());
  const hub = await startHub({
    stateDir,
    templates: [template('notebook', 'JupyterLab'), template('terminal', 'Terminal')],
    sandboxes,
    forward: {relay: url, token, caFile},
    floors: {freeMemoryBytes: 0, freeDiskBytes: 0},
  });
  scope.onEnd(() => hub.close());
  const tokens = new HubTokens(stateDir, systemClock);
  const user = await hub.users.add('ana', 3);
  const {token: hubToken} = await tokens.make(user, {scopes: ['hub:sessions', 'hub:admin']});
  return {hub, sandboxes, hubToken, caFile};
}

async function signIn(page: Page, url: string, token: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel('Your token').fill(token);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {name: 'Sessions'}).waitFor();
}

test('somebody signs in, starts a session, watches, extends and stops it, by keyboard', async ({scope}) => {
  const {hub, sandboxes, hubToken, caFile} = await openHub(scope);
  const go = Promise.withResolvers<void>();
  sandboxes.onStart = async (sandbox) => {
    sandbox.output = 'loading extensions\n';
    sandbox.stopsAt = Date.now() + 3_600_000;
    await go.promise;
    await sandbox.listen();
  };
  const browser = await startBrowser(scope, {caFile});
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await signIn(page, hub.url, hubToken);
  const focused = (id: string) => page.evaluate(`document.activeElement.matches(${JSON.stringify(id)})`);
  expect(await focused('main')).toBe(true);
  await page.getByLabel('Name (optional)').focus();
  await page.keyboard.type('thesis');
  await page.keyboard.press('Enter');
  const card = page.getByRole('article');
  await card.getByText('starting').waitFor();
  go.resolve();
  const open = card.getByRole('link', {name: 'Open'});
  await open.waitFor();
  expect(await open.getAttribute('href')).toMatch(/^https:\/\/n\w{11}\.relay\.test\/\?token=[\w-]{32}$/);
  await card.getByText('Kept by').waitFor();
  const [before] = hub.sessions.list();
  await card.getByRole('button', {name: 'Extend by 1 h'}).focus();
  await page.keyboard.press('Enter');
  await expect.poll(() => hub.sessions.list()[0]?.stopsAt).toBe((before?.stopsAt ?? 0) + 3_600_000);
  await card.getByRole('button', {name: 'Restart'}).click();
  await expect.poll(() => sandboxes.all.length).toBe(2);
  await card.getByRole('button', {name: 'Log'}).click();
  await card.getByText('loading extensions').waitFor();
  await card.getByRole('button', {name: 'Stop'}).focus();
  await page.keyboard.press('Enter');
  await card.getByText(/Its user stopped it\./).waitFor();
  // The button is gone; the focus stays in the card.
  expect(await focused('article')).toBe(true);
  expect(await card.getByRole('region', {name: 'Output of notebook · thesis'}).getAttribute('tabindex')).toBe(
    '0',
  );
  // What a page keeps must not be the token.
  const kept = await page.evaluate(
    'JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])',
  );
  expect(kept).not.toContain(hubToken);
  expect(errors).toEqual([]);
  await page.getByLabel('Those of all users').check();
  await page.getByRole('button', {name: 'Sign out'}).click();
  await page.getByLabel('Your token').waitFor();
  expect(await focused('#token')).toBe(true);
  // The next person at this browser finds nothing of the last one.
  const left = await page.evaluate(
    `[document.querySelectorAll('article').length, document.getElementById('name').textContent, document.getElementById('all').checked]`,
  );
  expect(left).toEqual([0, '', false]);
  await page.reload();
  await page.getByLabel('Your token').waitFor();
});

test('a failed start says why, on a narrow screen, in light and dark', async ({scope}) => {
  const {hub, sandboxes, hubToken, caFile} = await openHub(scope);
  sandboxes.onStart = (sandbox) => {
    sandbox.output = 'ModuleNotFoundError: No module named <b>jupyterlab</b>\n';
    sandbox.end({reason: 'exited', code: 1});
  };
  const browser = await startBrowser(scope, {caFile});
  const page = await browser.newPage();
  await page.setViewportSize({width: 360, height: 740});
  await signIn(page, hub.url, hubToken);
  await page.getByRole('button', {name: 'Start', exact: true}).click();
  const card = page.getByRole('article');
  await card.getByText('Its program ended with exit code 1.').waitFor();
  await card.getByText('ModuleNotFoundError: No module named <b>jupyterlab</b>').waitFor();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({colorScheme});
    const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
    expect(wide).toBe(false);
    const folder = process.env.TUNL_SCREENSHOTS;
    if (folder !== undefined)
      await page.screenshot({path: join(folder, `hub-${colorScheme}.png`), fullPage: true});
  }
});

test('a warning and a sign-in outlive a hub that cannot be reached for a while', async ({scope}) => {
  const {hub, sandboxes, hubToken, caFile} = await openHub(scope);
  sandboxes.onStart = async (sandbox) => {
    sandbox.stopsAt = Date.now() + 240_000;
    await sandbox.listen();
  };
  const browser = await startBrowser(scope, {caFile});
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await signIn(page, hub.url, hubToken);
  const open = page.getByRole('link', {name: 'Open', exact: true});
  await page.getByRole('button', {name: 'Start', exact: true}).click();
  await open.waitFor();
  await hub.sessions.look();
  const warning = page.getByText(/^notebook stops at .*, because its time is over\.$/);
  await warning.waitFor();
  // Another change of the list shows everything anew.
  await page.getByRole('button', {name: 'Start', exact: true}).click();
  await expect.poll(() => open.count()).toBe(2);
  expect(await warning.count()).toBe(1);
  const folder = process.env.TUNL_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({path: join(folder, 'hub-warning.png'), fullPage: true});
  await page.route('**/v1/me', (route) => route.fulfill({status: 502, body: 'bad gateway'}));
  // The page's own waits are skipped.
  await page.clock.install();
  await page.reload();
  await page.getByText('The hub answered 502; trying again…').waitFor();
  expect(await page.getByLabel('Your token').isVisible()).toBe(false);
  await page.unroute('**/v1/me');
  await page.route('**/v1/me', (route) => route.abort());
  await page.clock.fastForward(30_000);
  await page.getByText('The hub cannot be reached; trying again…').waitFor();
  await page.unroute('**/v1/me');
  await page.clock.fastForward(30_000);
  await open.first().waitFor();
  expect(await page.getByText('trying again').count()).toBe(0);
  expect(errors).toEqual([]);
});

test('a page of a session cannot act for a user who has signed in', async ({scope}) => {
  const {hub, hubToken, caFile, sandboxes} = await openHub(scope);
  const browser = await startBrowser(scope, {caFile});
  const page = await browser.newPage();
  await signIn(page, hub.url, hubToken);
  // Another name of the same relay: same site, other origin.
  const status = await page.evaluate(
    `fetch('/v1/sessions', {method: 'POST', headers: {prefer: 'respond-async'}}).then((r) => r.status)`,
  );
  expect(status).toBe(202);
  const cookies = await browser.cookies(hub.url);
  const cookie = cookies.map(({name, value}) => `${name}=${value}`).join('; ');
  expect(cookies).toMatchObject([{name: '__Host-hub', httpOnly: true, secure: true, sameSite: 'Strict'}]);
  for (const origin of [undefined, new URL(hub.url).origin.replace('hub.', 'evil.'), 'null']) {
    const from = origin === undefined ? [] : ['-H', `Origin: ${origin}`];
    const words = ['-o', '/dev/null', '-w', '%{http_code}', '-d', '', '-H', `Cookie: ${cookie}`, ...from];
    expect((await curl(scope, caFile, [...words, `${hub.url}/v1/sessions`])).stdout).toBe('403');
  }
  const read = ['-o', '/dev/null', '-w', '%{http_code}', '-H', `Cookie: ${cookie}`];
  for (const [site, answer] of [
    ['same-site', '403'],
    ['same-origin', '200'],
  ] as const) {
    const words = [...read, '-H', `Sec-Fetch-Site: ${site}`, `${hub.url}/v1/sessions`];
    expect((await curl(scope, caFile, words)).stdout).toBe(answer);
  }
  expect(sandboxes.all).toHaveLength(1);
});
