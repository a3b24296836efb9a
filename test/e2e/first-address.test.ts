// The first address: what `tunl expose PORT` prints without a relay loads in every program, on a machine whose resolver does not
// know names below `.localhost`. All of them verify the certificate.
import {writeFile} from 'node:fs/promises';
import {createServer, type IncomingMessage} from 'node:http';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {run} from '../helpers/child.js';
import {projectRoot, startCli} from '../helpers/cli.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const PAGE = '<!doctype html><title>the first page</title><script>fetch("/ran")</script>';
const here = `${projectRoot}test/e2e/first-address`;

interface First {
  address: string;
  /** The same tunnel under its name. */
  name: string;
  caFile: string;
  /** Resolves when a visitor asks for this path. */
  asked: (path: string) => Promise<IncomingMessage>;
}

async function firstAddress(scope: Scope, flags: readonly string[] = []): Promise<First> {
  const waiting = new Map<string, PromiseWithResolvers<IncomingMessage>>();
  const of = (path: string) => {
    const there = waiting.get(path) ?? Promise.withResolvers<IncomingMessage>();
    waiting.set(path, there);
    return there;
  };
  const server = createServer((request, response) => {
    of(request.url ?? '').resolve(request);
    response.end(PAGE);
  });
  scope.onEnd(() => server.closeAllConnections());
  const port = await scope.listen(server);
  const cli = await startCli(scope, ['expose', String(port), ...flags]);
  const address = await cli.line();
  const [, caFile = ''] = await cli.saidOnStderr(/curl --cacert (\S+) https/);
  const [, name = ''] = await cli.saidOnStderr(/(https:\/\/[a-z2-7]{26}\.tunl\.localhost:\d+)/);
  return {address, name, caFile, asked: (path) => of(path).promise};
}

/** What the program prints. It may change the environment of a user as little as its documentation asks for. */
type Load = (scope: Scope, first: First) => Promise<string>;

async function printed(
  scope: Scope,
  command: string,
  args: readonly string[],
  options: {env?: Record<string, string>; input?: string} = {},
): Promise<string> {
  const {code, stdout, stderr} = await run(scope, command, args, options);
  expect({code, stderr: code === 0 ? '' : stderr}).toEqual({code: 0, stderr: ''});
  return stdout;
}

const programs: Readonly<Record<string, Load>> = {
  curl: (scope, {address, caFile}) => printed(scope, 'curl', ['-sS', '--cacert', caFile, address]),
  wget: (scope, {address, caFile}) =>
    printed(scope, 'wget', ['-q', '-O-', '-t1', `--ca-certificate=${caFile}`, address]),
  'Python requests': (scope, {address, caFile}) =>
    printed(
      scope,
      `${projectRoot}.cache/jupyter/bin/python`,
      ['-c', 'import sys, requests; print(requests.get(sys.argv[1]).text)', address],
      {env: {REQUESTS_CA_BUNDLE: caFile}},
    ),
  'Python urllib': (scope, {address, caFile}) =>
    printed(
      scope,
      'python3',
      ['-c', 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())', address],
      {env: {SSL_CERT_FILE: caFile}},
    ),
  'Node fetch': (scope, {address, caFile}) =>
    printed(
      scope,
      process.execPath,
      ['-e', 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)', address],
      {env: {NODE_EXTRA_CA_CERTS: caFile}},
    ),
  Go: (scope, {address, caFile}) =>
    printed(scope, 'go', ['run', `${here}/page.go`, address], {
      // Go may be outside of the system's folders, and compiles its library once for each home.
      env: {SSL_CERT_FILE: caFile, PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? ''},
    }),
  Java: async (scope, {address, caFile}) => {
    const store = join(await scope.tempDir('java'), 'trust.p12');
    const keytool = ['-importcert', '-noprompt', '-alias', 'tunl', '-file', caFile];
    await printed(scope, 'keytool', [...keytool, '-keystore', store, '-storepass', 'changeit']);
    return await printed(scope, 'java', [
      `-Djavax.net.ssl.trustStore=${store}`,
      '-Djavax.net.ssl.trustStorePassword=changeit',
      `${here}/Page.java`,
      address,
    ]);
  },
  'openssl s_client': (scope, {address, caFile}) => {
    const {host, hostname} = new URL(address);
    const verify = ['-verify_return_error', '-verify_hostname', hostname, '-CAfile', caFile];
    const input = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    return printed(scope, 'openssl', ['s_client', '-quiet', ...verify, '-connect', host], {input});
  },
  Chromium: async (scope, {address, caFile, asked}) => {
    const browser = await startBrowser(scope, {caFile});
    const tab = await browser.newPage();
    await tab.goto(address);
    await asked('/ran');
    return await tab.content();
  },
  Firefox: async (scope, {address, caFile, asked}) => {
    const home = await scope.tempDir('firefox');
    const store = ['-d', `sql:${home}`];
    await printed(scope, 'certutil', [...store, '-N', '--empty-password']);
    await printed(scope, 'certutil', [...store, '-A', '-n', 'tunl', '-t', 'C,,', '-i', caFile]);
    await writeFile(
      join(home, 'user.js'),
      [
        'user_pref("browser.shell.checkDefaultBrowser", false);',
        'user_pref("datareporting.policy.dataSubmissionEnabled", false);',
        'user_pref("network.captive-portal-service.enabled", false);',
        'user_pref("network.connectivity-service.enabled", false);',
        'user_pref("app.normandy.enabled", false);',
      ].join('\n'),
    );
    const shot = ['--headless', '--no-remote', '--profile', home, '--screenshot', join(home, 'page.png')];
    const done = run(scope, 'firefox-esr', [...shot, address], {env: {HOME: home, LANG: 'C.UTF-8'}});
    const request = await asked('/ran');
    await done;
    // The page has run, so the certificate was accepted.
    expect(request.headers['user-agent']).toContain('Firefox/');
    return 'the first page';
  },
};

describe('the first address loads in', () => {
  test.for(Object.entries(programs))('%s', async ([, load], {scope}) => {
    const first = await firstAddress(scope);
    expect(first.address).toMatch(/^https:\/\/localhost:\d+$/);
    expect(await load(scope, first)).toContain('the first page');
  });
});

test('the same tunnel answers at both addresses of loopback, and under its name', async ({scope}) => {
  const {address, name, caFile} = await firstAddress(scope);
  const {port} = new URL(address);
  const own = `${new URL(name).hostname}:${port}`;
  for (const where of [name, `https://127.0.0.1:${port}`, `https://[::1]:${port}`, `https://${own}`])
    expect(await printed(scope, 'curl', ['-sS', '--cacert', caFile, where])).toBe(PAGE);
});
