// The examples of docs/library.md run unchanged, through a relay in another process.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {inspect} from 'node:util';
import {expect} from 'vitest';
import {forward, TunlError} from '../../src/index.js';
import {run} from '../helpers/child.js';
import {examplesIn, readPage, userFolder} from '../helpers/page-example.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';

const URL_LINE = 'https://[a-z2-7]{26}\\.r1\\.localhost:\\d+';

/** By heading: all that the example prints. */
const PRINTS: Readonly<Record<string, RegExp>> = {
  'A web server with an address': new RegExp(
    `^${URL_LINE}\\nTunnel \\{\\n  url: '${URL_LINE}',\\n  upstream: 'localhost:\\d+',\\n  relay: '\\S+',\\n  state: 'open',\\n  connections: 0\\n\\}\\n$`,
  ),
  'A TCP port': /^through the relay\n$/,
  Errors: /^PORT_RANGE\nThe port 70000 is outside 1–65535\.\nGive a port from 1 to 65535\.\n$/,
  'Events, and the end': /^ready\nclosed\n$/,
  'Several tunnels': /^https:\/\/site\.r1\.localhost:\d+\nhttps:\/\/api-2\.r1\.localhost:\d+\n$/,
  'A relay': /^https:\/\/[a-z2-7]{26}\.r2\.localhost:\d+\n\{ agents: 1, tunnels: 1, visitors: 0 \}\n$/,
  'A private network': /^hello\nmachine\n$/,
};

async function examples(): Promise<Map<string, string>> {
  const sections = (await readPage('library.md')).split(/^## /m).slice(1);
  return new Map(
    sections.flatMap((section) => {
      const [heading = ''] = section.split('\n', 1);
      return examplesIn(section).map((code) => [heading, code] as const);
    }),
  );
}

test('every example runs, prints what it should, and ends', async ({scope}) => {
  const found = await examples();
  expect([...found.keys()]).toEqual(Object.keys(PRINTS));
  const relay = await startRelayProcess(scope);
  const folder = await userFolder(scope);
  const stateDir = await scope.tempDir('agent');
  for (const [heading, code] of found) {
    const file = join(folder, `${heading.replaceAll(/\W+/g, '-')}.mjs`);
    await writeFile(file, code);
    const ended = await run(scope, process.execPath, [file], {
      env: {...relay.env, TUNL_RELAY: relay.url, TUNL_STATE_DIR: stateDir},
    });
    expect(ended, heading).toMatchObject({code: 0, stderr: ''});
    expect(ended.stdout, heading).toMatch(PRINTS[heading] as RegExp);
  }
});

test('a printed tunnel or error has useful facts and no secret', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {url, token, caFile} = relay;
  const stateDir = await scope.tempDir('agent');
  const tunnel = await forward(8000, {relay: url, token, caFile, stateDir});
  expect(inspect(tunnel, {depth: 9})).not.toContain(token);
  await tunnel.close();
  expect(inspect(tunnel)).toContain("state: 'ended'");
  const error = new TunlError('RELAY_REFUSED', {fromRelay: true, retryAfterMs: 1});
  expect(error).toMatchObject({fromRelay: true, retryAfterMs: 1});
  expect(inspect(error).replace(/\n {4}at [^\n]*?(?= \{\n|\n|$)/g, '')).toBe(
    "TunlError: Nothing accepts connections at the relay’s address. {\n  code: 'RELAY_REFUSED',\n  next: 'Check that the relay runs and that the port is right.'\n}",
  );
});
