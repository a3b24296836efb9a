// The certificate of a member's key, for TLS. It proves nothing by itself: peers compare its key with the member's address.

import type {KeyObject} from 'node:crypto';
import {randomBytes, sign} from '../core/node-crypto.js';
import {DER, der} from '../relay/certificates/der.js';

const ED25519 = der(DER.sequence, Buffer.from('06032b6570', 'hex'));
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const VERSION = 0xa0;
/** An Ed25519 public key as SPKI is this and its 32 bytes. */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** @param raw the public key, 32 bytes. @returns PEM. */
export function signMemberCertificate(key: KeyObject, raw: Buffer): string {
  const name = der(
    DER.sequence,
    der(DER.set, der(DER.sequence, COMMON_NAME, der(DER.utf8String, 'tunl member'))),
  );
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const content = der(
    DER.sequence,
    der(VERSION, der(DER.integer, Buffer.from([2]))),
    der(DER.integer, serial),
    ED25519,
    name,
    // A key has no end: RFC 5280 §4.1.2.5 has this time for that.
    der(DER.sequence, der(DER.utcTime, '200101000000Z'), der(DER.generalizedTime, '99991231235959Z')),
    name,
    Buffer.concat([SPKI_HEAD, raw]),
  );
  // A bit string says first how many bits of its last byte are unused.
  const signature = der(DER.bitString, Buffer.from([0]), sign(null, content, key));
  const lines =
    der(DER.sequence, content, ED25519, signature)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
