// The agent's own key: made once, private, and whoever reads it signs as the same.

import {createPublicKey, verify} from 'node:crypto';
import {readdir, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {type Identify, loadIdentity} from '../../../src/lib/agent/identity.js';
import {test} from '../../helpers/test.js';

const nonce = '0'.repeat(32);

function isSigned({key, signature}: ReturnType<Identify>, text: string): boolean {
  const spki = createPublicKey({key: Buffer.from(key, 'base64url'), format: 'der', type: 'spki'});
  return verify(null, Buffer.from(text), spki, Buffer.from(signature, 'base64url'));
}

test('two that start at once use one key, which nobody else can read', async ({scope}) => {
  const folder = join(await scope.tempDir(), 'state');
  const [one, two] = await Promise.all([loadIdentity(folder), loadIdentity(folder)]);
  const later = await loadIdentity(folder);
  expect(two(nonce).key).toBe(one(nonce).key);
  expect(later(nonce).key).toBe(one(nonce).key);
  expect(await readdir(folder)).toEqual(['agent.key']);
  expect((await stat(join(folder, 'agent.key'))).mode & 0o777).toBe(0o600);
});

test('what is signed is the relay’s nonce, and for this purpose only', async ({scope}) => {
  const identify = await loadIdentity(await scope.tempDir());
  expect(isSigned(identify(nonce), `tunl identity\n${nonce}`)).toBe(true);
  expect(isSigned(identify(nonce), nonce)).toBe(false);
});

test('a file that holds no key is an error, and stays as it is', async ({scope}) => {
  const folder = await scope.tempDir();
  await writeFile(join(folder, 'agent.key'), 'no key');
  await expect(loadIdentity(folder)).rejects.toMatchObject({code: 'STATE_DIR'});
  expect((await stat(join(folder, 'agent.key'))).size).toBe(6);
});
