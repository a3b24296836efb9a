// Logins by a real issuer of identities: a person in Chromium, and a job whose only credential is its CI system's own token.
import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {type Cli, runCli, startCli} from '../helpers/cli.js';
import {CLIENT, type RealIssuer, startRealIssuer} from '../helpers/real-issuer.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const shared = new Scope();
let issuer: RealIssuer;
let issuerCa: string;
let relay: RelayProcess;
/** PEM file with the CAs of both. */
let bothCas: string;
const AUDIENCE = 'https://r1.localhost';

beforeAll(async () => {
  issuer = await startRealIssuer(shared);
  const folder = await shared.tempDir('cas');
  issuerCa = join(folder, 'issuer.pem');
  await writeFile(issuerCa, issuer.ca);
  relay = await startRelayProcess(shared, {
    withToken: false,
    flags: [
      ...['--log-level', 'info'],
      ...['--oidc-issuer', issuer.url, '--oidc-client', CLIENT, '--oidc-audience', AUDIENCE],
      ...['--oidc-owner', 'email', '--oidc-ca-file', issuerCa],
      ...['--oidc-rule', 'email=*@example.com groups=dev name:*'],
      ...['--oidc-rule', 'sub=job client_id=job owner:ci name:ci-*'],
    ],
  });
  bothCas = join(folder, 'both.pem');
  await writeFile(bothCas, `${issuer.ca}\n${await readFile(relay.caFile, 'utf8')}`);
});
afterAll(() => shared[Symbol.asyncDispose]());

/** Confirms the code in the browser as NAME. */
async function confirm(scope: Scope, cli: Cli, name: string): Promise<void> {
  const {completeUrl = '', code} = await cli.event('device');
  const browser = await startBrowser(scope, {caFile: issuerCa});
  const page = await browser.newPage();
  await page.goto(completeUrl);
  // The page shows the code of the terminal, for the person to compare.
  await page.getByText(code).waitFor();
  await page.getByRole('button', {name: 'Continue'}).click();
  await page.getByPlaceholder('Enter any login').fill(name);
  await page.getByPlaceholder('and password').fill('any');
  await page.getByRole('button', {name: 'Sign-in'}).click();
  await page.getByRole('button', {name: 'Continue'}).click();
  await page.getByText('Sign-in Success').waitFor();
}

const logInWords = () => ['login', relay.url, '--ca-file', bothCas, '--json'];

test('a person logs in with a browser; the login is used, renewed, listed at the relay, and ended by logout', async ({
  scope,
}) => {
  const cli = await startCli(scope, logInWords(), {});
  const {stateDir} = cli;
  await confirm(scope, cli, 'ana');
  const login = await cli.event('login');
  expect(login).toMatchObject({owner: 'ana@example.com', scopes: ['name:*'], tokenId: expect.any(String)});
  expect((await cli.finished()).code).toBe(0);
  const path = join(stateDir, 'contexts', `${encodeURIComponent(new URL(relay.url).host)}.json`);
  const stored = JSON.parse(await readFile(path, 'utf8'));
  expect(stored.token).toMatch(/^tunl_login_/);
  for (const secret of [stored.token, stored.renewal.refreshToken])
    expect(cli.stdout + cli.stderr).not.toContain(secret);

  // Half of its life is over: the next command renews it, in the background.
  await writeFile(path, JSON.stringify({...stored, renewal: {...stored.renewal, at: 0}}), {mode: 0o600});
  const tunnel = await startCli(scope, ['expose', '8000', '--subdomain', 'demo', '--json'], {stateDir});
  expect((await tunnel.event('ready')).url).toBe(`https://demo.${new URL(relay.url).host}`);
  await relay.cli.saidOnStderr(/logged in .*renewed=true/);

  const tokens = await readFile(join(relay.cli.stateDir, 'access', 'tokens.json'), 'utf8');
  expect(tokens).toContain('"owner": "ana@example.com"');
  expect(tokens).not.toContain(stored.token);

  // The relay forgets the login, and its live session ends.
  expect((await runCli(scope, ['logout', '--json'], {stateDir})).stdout).toContain('"told":true');
  expect((await tunnel.finished()).code).toBe(4);
  expect(tunnel.error).toMatchObject({code: 'TOKEN_REVOKED'});
});

test('a job exposes a port with the token of its CI system alone', async ({scope}) => {
  const token = await issuer.jobToken(AUDIENCE);
  const stateDir = await scope.tempDir('job');
  const env = {TUNL_RELAY: relay.url, TUNL_TOKEN: token, TUNL_CA_FILE: bothCas};
  const tunnel = await startCli(
    scope,
    ['expose', '8000', '--subdomain', 'ci-7', '--json', '--log-level', 'trace'],
    {
      stateDir,
      env,
    },
  );
  expect((await tunnel.event('ready')).url).toContain('https://ci-7.');
  await tunnel.stop();
  expect(tunnel.stdout + tunnel.stderr).not.toContain(token);
  const other = await runCli(scope, ['expose', '8000', '--subdomain', 'orders'], {stateDir, env});
  expect(other).toMatchObject({code: 4, stderr: expect.stringContaining('code: NOT_ALLOWED')});
  const who = await runCli(scope, ['whoami', '--json'], {stateDir, env});
  expect(JSON.parse(who.stdout)).toMatchObject({owner: 'ci', scopes: ['name:ci-*']});
});

test('keys that the issuer replaces again and again are found at once', async ({scope}) => {
  const whoAmI = async (token: string) => {
    const env = {TUNL_RELAY: relay.url, TUNL_TOKEN: token, TUNL_CA_FILE: bothCas};
    const {stdout} = await runCli(scope, ['whoami', '--json'], {env});
    return JSON.parse(stdout) as {owner?: string; code?: string};
  };
  const before = await issuer.jobToken(AUDIENCE);
  for (let times = 0; times < 2; times += 1) {
    await issuer.rotate();
    expect(await whoAmI(await issuer.jobToken(AUDIENCE))).toMatchObject({owner: 'ci'});
  }
  expect(await whoAmI(before)).toMatchObject({code: 'TOKEN_WRONG'});
});

test('a token for another audience is refused, and so is a person without a rule', async ({scope}) => {
  const token = await issuer.jobToken('https://other.example');
  const env = {TUNL_RELAY: relay.url, TUNL_TOKEN: token, TUNL_CA_FILE: bothCas};
  const refused = await runCli(scope, ['expose', '8000'], {env});
  expect(refused).toMatchObject({code: 4, stderr: expect.stringContaining('code: TOKEN_WRONG')});
});
