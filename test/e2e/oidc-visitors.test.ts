// Visitors who sign in at a real issuer of identities before they see the page of a tunnel, in Chromium.
import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {join} from 'node:path';
import type {Page} from 'playwright-core';
import {afterAll, beforeAll, expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {createAuthority} from '../helpers/certificates.js';
import {type Cli, startCli} from '../helpers/cli.js';
import {SITE, startRealIssuer} from '../helpers/real-issuer.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const shared = new Scope();
let relay: RelayProcess;
let ca: string;
let url: string;
let tunnel: Cli;
const seen: string[] = [];

beforeAll(async () => {
  const folder = await shared.tempDir('site');
  const file = async (name: string, text: string) => {
    const path = join(folder, name);
    await writeFile(path, text, {mode: 0o600});
    return path;
  };
  // One CA for the relay and the issuer, because the browser trusts one.
  const authority = await createAuthority();
  ca = await file('ca.pem', authority.cert);
  const {cert, key} = await authority.issue(['r1.localhost', '*.r1.localhost']);
  const files = ['--cert-file', await file('cert.pem', cert), '--key-file', await file('key.pem', key)];
  relay = await startRelayProcess(shared, {flags: files});
  url = `https://demo.r1.localhost:${relay.port}`;
  const issuer = await startRealIssuer(shared, {
    authority,
    redirectUris: [`${url}/.well-known/tunl/signed-in`],
  });
  const upstream = createServer((req, res) => {
    seen.push(`${req.url} ${JSON.stringify(req.headers)}`);
    res.setHeader('content-type', 'text/html');
    res.end(`<h1>hello ${req.headers['tunl-visitor']}</h1>`);
  });
  const port = await shared.listen(upstream);
  const words = [
    ...['expose', String(port), '--subdomain', 'demo', '--json', '--log-level', 'trace'],
    ...['--oidc', issuer.url, '--oidc-client', SITE.client_id, '--oidc-allow', 'ana@example.com'],
    ...['--oidc-secret-file', await file('secret', SITE.client_secret)],
  ];
  tunnel = await startCli(shared, words, {env: {...relay.env, TUNL_CA_FILE: ca, TUNL_OIDC_CA_FILE: ca}});
  await tunnel.event('ready');
});
afterAll(() => shared[Symbol.asyncDispose]());

async function signIn(page: Page, name: string): Promise<void> {
  await page.getByPlaceholder('Enter any login').fill(name);
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', {name: 'Sign-in'}).click();
  await page.getByRole('button', {name: 'Continue'}).click();
}

test('a person who is allowed signs in, sees the page that was asked for, and stays in', async ({scope}) => {
  const browser = await startBrowser(scope, {caFile: ca});
  const page = await browser.newPage();
  await page.goto(`${url}/secret?x=1`);
  await signIn(page, 'ana');
  await page.getByText('hello ana@example.com').waitFor();
  expect(page.url()).toBe(`${url}/secret?x=1`);
  const statuses = await page.evaluate(async () =>
    Promise.all(['/data', '/more'].map(async (path) => (await fetch(path, {method: 'POST'})).status)),
  );
  expect(statuses).toEqual([200, 200]);
  // The upstream sees who it is, and nothing of the gate.
  expect(seen.length).toBeGreaterThan(0);
  for (const request of seen) expect(request).not.toMatch(/__Host-tunl|code=|signed-in/);
  expect(tunnel.stdout + tunnel.stderr).not.toContain(SITE.client_secret);
  await page.goto(`${url}/again`);
  expect(page.url()).toBe(`${url}/again`);
});

test('a person who is not allowed is told so, and the upstream does not hear of it', async ({scope}) => {
  const browser = await startBrowser(scope, {caFile: ca});
  const page = await browser.newPage();
  await page.goto(`${url}/bob-was-here`);
  await signIn(page, 'bob');
  await page.getByText('You may not visit this page').waitFor();
  const response = await page.goto(`${url}/bob-was-here`);
  expect(response?.status()).toBe(403);
  expect(seen.join('\n')).not.toContain('bob-was-here');
});

test('a program is never redirected', async ({scope}) => {
  const {stdout} = await curl(scope, ca, ['--include', `${url}/program`]);
  expect(stdout).toMatch(/^HTTP\/1\.1 401 /);
  expect(stdout).toContain('"code":"SIGN_IN_NEEDED"');
  expect(stdout).not.toMatch(/^location:/im);
  expect(seen.join('\n')).not.toContain('/program');
});
