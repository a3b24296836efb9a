// The key pair of one member of one network. The member's address comes from the key, so nobody else can have the address.

import type {KeyObject} from 'node:crypto';
import {join} from 'node:path';
import type {SecureContext} from 'node:tls';
import {TunlError} from '../core/errors.js';
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
} from '../core/node-crypto.js';
import {tls} from '../core/node-tls.js';
import {createFileAtomic, openStateDir, readStateFile} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';
import type {NetworkName} from '../protocol/network-messages.js';
import {signMemberCertificate} from './member-certificate.js';

/** An Ed25519 public key as SPKI is a fixed head and its 32 bytes. */
const SPKI_HEAD_BYTES = 12;

export interface MemberKey {
  /** The raw public key, 32 bytes. */
  readonly raw: Buffer;
  /**
   * For TLS, with a certificate that the key itself has signed: peers check the key alone. Made at the first use.
   */
  context(): SecureContext;
  sign(text: Buffer): Buffer;
}

/** A key for this process alone. */
export function ephemeralMemberKey(): MemberKey {
  return memberKey(generateKeyPairSync('ed25519').privateKey);
}

/** The key of this member, made at its first use. @throws TunlError STATE_DIR */
export async function loadMemberKey(
  stateDir: string,
  {scope, network}: NetworkName,
  name: string,
): Promise<MemberKey> {
  const folders = ['net', `${scope}-${network}`];
  const file = `${name}.key`;
  const path = join(stateDir, ...folders, file);
  await checkState(stateDir, ...folders, file);
  let pem = await readStateFile(path);
  if (pem === undefined) {
    await openStateDir(stateDir, ...folders);
    const {privateKey} = generateKeyPairSync('ed25519');
    // When two processes start at once, one writes the key and both use it.
    await createFileAtomic(path, privateKey.export({type: 'pkcs8', format: 'pem'}).toString());
    pem = await readStateFile(path);
  }
  try {
    return memberKey(createPrivateKey(pem ?? ''));
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} does not contain the private key of a member.`,
      next: 'Remove the file; the member then gets a new key, and with it a new address.',
      cause: error,
    });
  }
}

function memberKey(key: KeyObject): MemberKey {
  const raw = rawKey(createPublicKey(key));
  if (raw === undefined) throw new Error('not an Ed25519 key');
  let context: SecureContext | undefined;
  return {
    raw,
    context: () => {
      context ??= tls.createSecureContext({
        key: key.export({type: 'pkcs8', format: 'pem'}).toString(),
        cert: signMemberCertificate(key, raw),
        minVersion: 'TLSv1.3',
        secureOptions: constants.SSL_OP_NO_TICKET,
      });
      return context;
    },
    sign: (text) => sign(null, text, key),
  };
}

/** The 32 bytes of an Ed25519 public key; undefined for other kinds of keys. */
export function rawKey(key: KeyObject): Buffer | undefined {
  if (key.asymmetricKeyType !== 'ed25519') return undefined;
  return key.export({type: 'spki', format: 'der'}).subarray(SPKI_HEAD_BYTES);
}
