// The agent's own key: made once, private, and every process of the user signs with the same key.

import {createPublicKey, verify} from 'node:crypto';
import {readdir, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {loadIdentity} from '../../../src/lib/agent/identity.js';
import type {Identify} from '../../../src/lib/mux/handshake.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import {test} from '../../helpers/test.js';

const relayNonce = '0'.repeat(32);
const agentNonce = '1'.repeat(32);
const [pipe] = createPipe();

const keyOf = (identify: Identify) => identify({carrier: pipe, relayNonce, agentNonce}).key;

function isSigned({key, signature}: ReturnType<Identify>, ...lines: string[]): boolean {
  const spki = createPublicKey({key: Buffer.from(key, 'base64url'), format: 'der', type: 'spki'});
  return verify(null, Buffer.from(lines.join('\n')), spki, Buffer.from(signature, 'base64url'));
}

test('two processes that start at once use one key, which nobody else can read', async ({scope}) => {
  const folder = join(await scope.tempDir(), 'state');
  const [one, two] = await Promise.all([loadIdentity(folder), loadIdentity(folder)]);
  const later = await loadIdentity(folder);
  expect(keyOf(two)).toBe(keyOf(one));
  expect(keyOf(later)).toBe(keyOf(one));
  expect(await readdir(folder)).toEqual(['agent.key']);
  expect((await stat(join(folder, 'agent.key'))).mode & 0o777).toBe(0o600);
});

test('the signature is for one purpose, one relay, one handshake and one connection', async ({scope}) => {
  const identify = await loadIdentity(await scope.tempDir());
  const exportKey = (label: string, bytes: number) => Buffer.alloc(bytes, label);
  const carrier = {...pipe, peerHost: 'r1.example', exportKey};
  const proof = identify({carrier, relayNonce, agentNonce});
  const exported = exportKey('EXPORTER-tunl-identity', 32).toString('hex');
  expect(isSigned(proof, 'tunl identity', 'r1.example', relayNonce, agentNonce, exported)).toBe(true);
});

test('without TLS there is no key material to sign', async ({scope}) => {
  const identify = await loadIdentity(await scope.tempDir());
  const proof = identify({carrier: pipe, relayNonce, agentNonce});
  expect(isSigned(proof, 'tunl identity', '', relayNonce, agentNonce, '')).toBe(true);
});

test('TLS without key material never counts as a carrier without TLS', async ({scope}) => {
  const identify = await loadIdentity(await scope.tempDir());
  const exportKey = () => {
    throw new Error('older than 1.3');
  };
  expect(() => identify({carrier: {...pipe, exportKey}, relayNonce, agentNonce})).toThrow('older than 1.3');
});

test('a file without a key is an error, and stays unchanged', async ({scope}) => {
  const folder = await scope.tempDir();
  await writeFile(join(folder, 'agent.key'), 'no key');
  await expect(loadIdentity(folder)).rejects.toMatchObject({code: 'STATE_DIR'});
  expect((await stat(join(folder, 'agent.key'))).size).toBe(6);
});
