// Headless Chromium that trusts a relay's CA like a person's browser: in its certificate store, with all checks on.
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type BrowserContext, chromium} from 'playwright-core';
import {GUEST, gate, moreAuthorities, openByLink} from './behind-gate.js';
import {run} from './child.js';
import type {Scope} from './scope.js';

export interface BrowserOptions {
  caFile: string;
  /** E.g. `MAP *.relay.test 127.0.0.1`. Names below `.localhost` need none. */
  hostResolverRules?: string;
  /** Its answer to a page that asks for a password. */
  httpCredentials?: {username: string; password: string};
}

/** The limit for waits in a page: it reports what was missing before the test's own time-out. It does not judge speed. */
const PATIENCE_MS = 90_000;

export async function startBrowser(scope: Scope, options: BrowserOptions): Promise<BrowserContext> {
  const home = await scope.tempDir('browser');
  const store = join(home, '.pki', 'nssdb');
  await mkdir(store, {recursive: true});
  const caFiles = [options.caFile];
  for (const [index, ca] of (await moreAuthorities(scope)).entries()) {
    const file = join(home, `ca-${index}.pem`);
    await writeFile(file, ca);
    caFiles.push(file);
  }
  for (const args of [
    ['-N', '--empty-password'],
    ...caFiles.map((file, index) => ['-A', '-n', `ca-${index}`, '-t', 'C,,', '-i', file]),
  ]) {
    const {code, stderr} = await run(scope, 'certutil', ['-d', `sql:${store}`, ...args]);
    if (code !== 0) throw new Error(`certutil ${args[0]}: ${stderr}`);
  }
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    timeout: PATIENCE_MS,
    env: {HOME: home, PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', XDG_CONFIG_HOME: join(home, '.config')},
    args: [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      ...(options.hostResolverRules ? [`--host-resolver-rules=${options.hostResolverRules}`] : []),
    ],
  });
  scope.onEnd(() => browser.close());
  const {httpCredentials = gate === 'basic-auth' ? GUEST : undefined} = options;
  const context = await browser.newContext(httpCredentials && {httpCredentials});
  openByLink(context);
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}
