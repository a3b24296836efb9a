import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {expect, test} from 'vitest';
import {findStore, trustInstructions} from '../../../../src/lib/relay/certificates/install-ca.js';

test.each([
  '/home/me/.local/state/tunl/ca/tunl-ca.pem',
  '/Users/me/Library/Application Support/tunl/ca/tunl-ca.pem',
  "/home/o'neill/$HOME/`x`/tunl-ca.pem",
])('a shell reads the path of %s unchanged', async (path) => {
  const line = trustInstructions(path, {all: true, store: undefined})
    .split('\n')
    .find((each) => each.includes('--cacert'));
  const word = /--cacert (.*) https:/.exec(line ?? '')?.[1] ?? '';
  const {stdout} = await promisify(execFile)('sh', ['-c', `printf %s ${word}`]);
  expect(stdout).toBe(path);
});

test('a Windows path has quotes that cmd understands', () => {
  const path = 'C:\\Users\\A Name\\AppData\\Local\\tunl\\ca\\tunl-ca.pem';
  expect(trustInstructions(path, {all: true, store: undefined})).toContain(`-addstore Root "${path}"`);
});

test.each([
  ['darwin', [], 'macos'],
  ['win32', [], 'windows'],
  ['linux', ['/usr/sbin/update-ca-certificates'], 'debian'],
  ['linux', ['/etc/pki/ca-trust/source/anchors', '/usr/sbin/update-ca-certificates'], 'fedora'],
  ['linux', ['/etc/ca-certificates/trust-source'], 'arch'],
  ['linux', [], undefined],
] as const)('%s with %j: the store is %s', (platform, there: readonly string[], store) => {
  expect(findStore(platform, (path) => there.includes(path))).toBe(store);
});

test('one way for this system, and all of them on request or for an unknown system', () => {
  const ways = (all: boolean, store: 'debian' | undefined) =>
    trustInstructions('/ca.pem', {all, store})
      .split('\n')
      .filter((line) => line.includes('/ca.pem')).length;
  expect(ways(false, 'debian')).toBe(1);
  expect(ways(true, 'debian')).toBe(ways(false, undefined));
  expect(ways(true, 'debian')).toBeGreaterThan(10);
});
