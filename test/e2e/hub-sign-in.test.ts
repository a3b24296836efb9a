// People sign in to the page of a hub at the issuer of its relay, in Chromium.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {BrowserContext, Page} from 'playwright-core';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {createAuthority} from '../helpers/certificates.js';
import {openHub} from '../helpers/hub.js';
import {CLIENT, SITE, startRealIssuer} from '../helpers/real-issuer.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

async function openAll(scope: Scope) {
  const folder = await scope.tempDir('site');
  const file = async (name: string, text: string) => {
    const path = join(folder, name);
    await writeFile(path, text, {mode: 0o600});
    return path;
  };
  // One CA for the relay and the issuer, because the browser trusts one.
  const authority = await createAuthority();
  const ca = await file('ca.pem', authority.cert);
  const redirectUris: string[] = [];
  const issuer = await startRealIssuer(scope, {authority, redirectUris});
  const {cert, key} = await authority.issue(['r1.localhost', '*.r1.localhost']);
  const relay = await startRelayProcess(scope, {
    flags: [
      ...['--cert-file', await file('cert.pem', cert), '--key-file', await file('key.pem', key)],
      ...['--oidc-issuer', issuer.url, '--oidc-client', CLIENT, '--oidc-ca-file', ca],
      ...['--oidc-rule', 'sub=* name:@random'],
    ],
  });
  redirectUris.push(`https://hub.r1.localhost:${relay.port}/signed-in`);
  // The issuer knows the address from now on.
  await issuer.rotate();
  const settings = `oidc-client: ${SITE.client_id}
oidc-secret-file: ${await file('secret', SITE.client_secret)}
oidc-ca-file: ${ca}
oidc-quota: 1
oidc-rule:
  - email=ana@* hub:sessions
  - email=root@* hub:sessions hub:admin
`;
  const hub = await openHub(scope, undefined, {relay: {...relay, caFile: ca}, settings});
  return {...hub, issuer, ca};
}

async function signIn(browser: BrowserContext, url: string, name: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(url);
  const link = page.getByRole('link', {name: 'Sign in at localhost:'});
  await link.waitFor();
  const folder = process.env.TUNL_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({path: join(folder, 'hub-sign-in.png')});
  await link.click();
  await page.getByPlaceholder('Enter any login').fill(name);
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', {name: 'Sign-in'}).click();
  await page.getByRole('button', {name: 'Continue'}).click();
  await page.waitForURL(`${url}/**`);
  return page;
}

test('rules decide who may what; nothing of the issuer stays in the browser', async ({scope}) => {
  const {url, ca, cli, hub} = await openAll(scope);
  const browser = async () => await startBrowser(scope, {caFile: ca});
  const hers = await browser();
  const page = await signIn(hers, url, 'ana');
  await page.getByRole('heading', {name: 'Sessions'}).waitFor();
  await page.getByText('ana@example.com').waitFor();
  await page.getByText('0 of 1 sessions run.').waitFor();
  expect(page.url()).toBe(`${url}/`);
  await page.getByRole('button', {name: 'Start', exact: true}).click();
  await page.getByRole('link', {name: 'Open', exact: true}).waitFor();
  const cookies = await hers.cookies(url);
  expect(cookies).toContainEqual(
    expect.objectContaining({name: '__Host-hub', httpOnly: true, secure: true, sameSite: 'Strict'}),
  );
  // A page of another origin cannot act with her cookie.
  const cookie = cookies.map(({name, value}) => `${name}=${value}`).join('; ');
  const post = ['-o', '/dev/null', '-w', '%{http_code}', '-d', '', '-H', `Cookie: ${cookie}`];
  const elsewhere = ['-H', `Origin: ${url.replace('hub.', 'evil.')}`];
  expect((await curl(scope, ca, [...post, ...elsewhere, `${url}/v1/sessions`])).stdout).toBe('403');
  // The answer of the issuer is good once, in the browser that asked for it.
  const begun = ['-o', '/dev/null', '-w', '%{redirect_url}'];
  const elsewhereBegun = await curl(scope, ca, [...begun, `${url}/signed-in?code=x&state=y`]);
  expect(elsewhereBegun.stdout).toBe(`${url}/?sign-in=failed`);

  // Nobody has made these users before.
  const admin = await signIn(await browser(), url, 'root');
  await admin.getByLabel('Those of all users').check();
  await admin.getByRole('article').getByText('ana@example.com').waitFor();
  const stranger = await signIn(await browser(), url, 'eve');
  await stranger.getByText('no rule of this hub is about you').waitFor();
  await stranger.getByLabel('Your token').waitFor();
  const users = (await hub(['user', 'list'])).stdout;
  expect(users.match(/^\S+/gm)?.sort()).toEqual(['ana@example.com', 'root@example.com']);
  // One who was removed is out at once.
  await hub(['user', 'remove', 'root@example.com']);
  await admin.reload();
  await admin.getByText('The user of this token was removed.').waitFor();
  expect(cli.stdout + cli.stderr).not.toMatch(/code=|state=/);
  expect(cli.stdout + cli.stderr).not.toContain(SITE.client_secret);
});
