// Clients that ask the relay for a name without a tunnel: each client reports the reason in its own way.

import {once} from 'node:events';
import {connect as connectTcp} from 'node:net';
import {connect} from 'node:tls';
import {expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {run} from '../helpers/child.js';
import {runCli} from '../helpers/cli.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';

test('a name without a tunnel, another domain, and no name at all get the alert, then an orderly end', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  for (const servername of [`nobody.${relay.domain}`, `a.b.${relay.domain}`, 'example.net', '']) {
    const socket = connect({host: '127.0.0.1', port: relay.port, servername, rejectUnauthorized: false});
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect.soft(error.code, servername).toMatch(/^ERR_SSL_(TLSV1|SSL\/TLS)_(ALERT_)?UNRECOGNIZED_NAME$/);
  }
});

test('a connection that sends no ClientHello gets no alert', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const socket = connectTcp(relay.port, '127.0.0.1');
  const got: Buffer[] = [];
  socket.on('data', (piece: Buffer) => got.push(piece)).on('error', () => {});
  socket.write('SSH-2.0-OpenSSH_9.2\r\n');
  await once(socket, 'close');
  expect(Buffer.concat(got).length).toBe(0);
});

test('curl, openssl and Chromium name the reason', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const name = `nobody.${relay.domain}`;
  const at = `127.0.0.1:${relay.port}`;
  const curl = await run(scope, 'curl', [
    '-sS',
    '--cacert',
    relay.caFile,
    '--connect-to',
    `::${at}`,
    `https://${name}/`,
  ]);
  expect.soft(curl.code).toBe(35);
  expect.soft(curl.stderr).toContain('unrecognized name');
  const openssl = await run(scope, 'openssl', ['s_client', '-connect', at, '-servername', name]);
  expect.soft(openssl.stderr).toContain('unrecognized name');
  const browser = await startBrowser(scope, {caFile: relay.caFile});
  const page = await browser.newPage();
  const shown = await page.goto(`https://${name}:${relay.port}/`).catch((error: Error) => error.message);
  expect.soft(shown).toContain('ERR_SSL_UNRECOGNIZED_NAME_ALERT');
});

test('an agent that reaches a relay by its address reports that the name is wrong, and ends', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  for (const more of [[], ['--wait']]) {
    const url = `https://127.0.0.1:${relay.port}`;
    const {code, stderr} = await runCli(scope, [
      'expose',
      '8000',
      '--relay',
      url,
      '--ca-file',
      relay.caFile,
      ...more,
    ]);
    expect.soft(code).toBe(3);
    expect.soft(stderr).toContain('RELAY_NOT_TUNL');
    expect.soft(stderr).toContain('does not serve this name');
  }
});
