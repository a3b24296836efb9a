// The TLS settings for one name: versions, ciphers and the certificate.

import type {SecureContext} from 'node:tls';
import {constants} from '../../core/node-crypto.js';
import {tls} from '../../core/node-tls.js';
import type {KeyPair} from './authority.js';

/** The number of contexts to keep, one for each name and owner. One costs about 30 KiB. */
export const MAX_CONTEXTS = 2_000;

/**
 * Node's ciphers for TLS 1.3, with AES-128 first as for TLS 1.2: a record costs a tenth less than with AES-256, and SHA-256,
 * which goes with it, has instructions of its own in processors where SHA-384 has none. For TLS 1.2 only those with a new key for each connection (ECDHE) and authenticated encryption
 * (AEAD), for all kinds of keys in certificates.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * For one name only, so that no session resumes under another name.
 *
 * @param ticketKeys seal the tickets of its sessions. Default: keys that no other context has.
 */
export function contextOf({cert, key}: KeyPair, ticketKeys?: Buffer): SecureContext {
  return tls.createSecureContext({
    cert,
    key,
    ...(ticketKeys !== undefined && {ticketKeys}),
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    // Visitors who prefer ChaCha20 have no AES in hardware.
    secureOptions: constants.SSL_OP_PRIORITIZE_CHACHA,
    // No authorities: visitors show no certificates, and otherwise Node would read its own list.
    ca: [],
  });
}

/** The key of a context in a Map. A name has no spaces. */
export const contextKey = (name: string, owner: string): string => `${name} ${owner}`;
