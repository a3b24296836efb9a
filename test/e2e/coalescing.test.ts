// A browser may send a request for one name over an h2 connection of another name, if both have the same address and a
// certificate for both. No request may reach the upstream of another tunnel that way.
import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:http2';
import {join} from 'node:path';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {createAuthority} from '../helpers/certificates.js';
import {atMost} from '../helpers/metric.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const REQUESTS = 20;

interface Site {
  url: string;
  /** The hosts in the requests at its upstream. */
  asked: string[];
}

/** An h2 upstream that any page may fetch from, behind its own tunnel. */
async function site(scope: Scope, relay: RelayProcess, env: Record<string, string>): Promise<Site> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.headers[':authority'] ?? '');
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>site</title>');
  });
  const {ready} = await relay.expose(await scope.listen(server), {flags: ['--h2'], env});
  return {url: ready.url ?? '', asked};
}

/** Opens one site in Chromium, which then sends requests to the other one, and vice versa. */
async function visitBoth(scope: Scope, caFile: string, [one, two]: readonly [Site, Site]): Promise<void> {
  const browser = await startBrowser(scope, {caFile});
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    const tab = await browser.newPage();
    await tab.goto(`${from.url}/`);
    const got = await tab.evaluate(
      async ([url, count]) => {
        const answers = Array.from(
          {length: Number(count)},
          async (_, i) => (await fetch(`${url}/?${i}`)).status,
        );
        return await Promise.all(answers);
      },
      [to.url, REQUESTS] as const,
    );
    expect(got).toEqual(Array<number>(REQUESTS).fill(200));
    await tab.close();
  }
}

const strangers = (site: Site): string[] => site.asked.filter((host) => host !== new URL(site.url).host);

test('with one certificate for each name every request of Chromium reaches its own upstream', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const sites = [await site(scope, relay, {}), await site(scope, relay, {})] as const;
  await visitBoth(scope, relay.caFile, sites);
  for (const each of sites) {
    expect(each.asked.length).toBeGreaterThan(REQUESTS);
    const name = 'two h2 tunnels in Chromium';
    expect(atMost(name, 'requests at the upstream of the other', strangers(each).length, 0)).toBe(true);
  }
});

test('when all names share one certificate the relay refuses h2, and with --shared-h2 requests reach other tunnels', async ({
  scope,
}) => {
  const folder = await scope.tempDir('wildcard');
  const authority = await createAuthority();
  const {cert, key} = await authority.issue(['r1.localhost', '*.r1.localhost']);
  const [caFile, certFile, keyFile] = ['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([writeFile(caFile, authority.cert), writeFile(certFile, cert), writeFile(keyFile, key)]);
  const given = ['--cert-file', certFile, '--key-file', keyFile];
  const env = {TUNL_CA_FILE: caFile};

  const careful = await startRelayProcess(scope, {flags: given});
  await expect(site(scope, careful, env)).rejects.toThrow(/H2_NOT_OFFERED/);

  const shared = await startRelayProcess(scope, {flags: [...given, '--shared-h2']});
  const sites = [await site(scope, shared, env), await site(scope, shared, env)] as const;
  await visitBoth(scope, caFile, sites);
  // This shows that the browser really does this; otherwise the test above would prove nothing.
  expect(sites.flatMap(strangers).length).toBeGreaterThan(0);
});
