// The agent's own key pair, made once in the state folder: it decides who owns names at relays without tokens.

import type {KeyObject} from 'node:crypto';
import {join} from 'node:path';
import {TunlError} from '../core/errors.js';
import {createPrivateKey, createPublicKey, generateKeyPairSync, sign} from '../core/node-crypto.js';
import {createFileAtomic, openStateDir, readStateFile} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';
import type {Identify} from '../mux/handshake.js';
import {IDENTITY_EXPORTER, identityText} from '../protocol/identity.js';

/** @throws TunlError STATE_DIR */
export async function loadIdentity(stateDir: string): Promise<Identify> {
  const path = join(stateDir, 'agent.key');
  await checkState(stateDir, 'agent.key');
  let pem = await readStateFile(path);
  if (pem === undefined) {
    await openStateDir(stateDir);
    const {privateKey} = generateKeyPairSync('ed25519');
    // When two processes start at once, one writes the key and both use it.
    await createFileAtomic(path, privateKey.export({type: 'pkcs8', format: 'pem'}).toString());
    pem = await readStateFile(path);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem ?? '');
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} does not contain a private key.`,
      next: 'Remove the file; tunl then makes a new key.',
      cause: error,
    });
  }
  const spki = createPublicKey(key).export({type: 'spki', format: 'der'}).toString('base64url');
  return ({carrier, relayNonce, agentNonce}) => {
    const exported = carrier.exportKey?.(IDENTITY_EXPORTER.label, IDENTITY_EXPORTER.bytes);
    // The dialled name, not the one from the relay, which it can choose freely.
    const text = identityText({relay: carrier.peerHost ?? '', relayNonce, agentNonce, exported});
    return {key: spki, signature: sign(null, text, key).toString('base64url')};
  };
}
