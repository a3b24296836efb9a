// The agent's own key pair, made once in the state folder: whose names are whose where relays ask for no token.

import type {KeyObject} from 'node:crypto';
import {link, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomUUID,
  sign,
} from '../core/node-crypto.js';
import {openStateDir} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';
import type {Identify} from '../mux/handshake.js';
import {IDENTITY_EXPORTER, identityText} from '../protocol/identity.js';

/** @throws TunlError STATE_DIR */
export async function loadIdentity(stateDir: string): Promise<Identify> {
  const path = join(stateDir, 'agent.key');
  await checkState(stateDir, 'agent.key');
  let pem = await readOrUndefined(path);
  if (pem === undefined) {
    await openStateDir(stateDir);
    const {privateKey} = generateKeyPairSync('ed25519');
    // When two processes start at once, one writes the key and both use it.
    await createPrivateFile(path, privateKey.export({type: 'pkcs8', format: 'pem'}).toString());
    pem = await readOrUndefined(path);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem ?? '');
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} does not hold a private key.`,
      next: 'Remove the file; a new key is made.',
      cause: error,
    });
  }
  const spki = createPublicKey(key).export({type: 'spki', format: 'der'}).toString('base64url');
  return ({carrier, relayNonce, agentNonce}) => {
    const exported = carrier.exportKey?.(IDENTITY_EXPORTER.label, IDENTITY_EXPORTER.bytes);
    // The name that was dialled, not the one that the relay says: it may say any.
    const text = identityText({relay: carrier.peerHost ?? '', relayNonce, agentNonce, exported});
    return {key: spki, signature: sign(null, text, key).toString('base64url')};
  };
}

/** All of it or nothing; a file that is there already stays as it is. */
async function createPrivateFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, text, {mode: 0o600, flag: 'wx'});
    await link(draft, path);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return;
    throw new TunlError('STATE_DIR', {
      reason: `${path} cannot be written (${systemCode(error)}).`,
      cause: error,
    });
  } finally {
    await rm(draft, {force: true});
  }
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new TunlError('STATE_DIR', {
      reason: `${path} cannot be read (${systemCode(error)}).`,
      cause: error,
    });
  }
}
