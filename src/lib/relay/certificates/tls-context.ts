// The TLS settings for one name: versions, ciphers and the certificate.

import type {SecureContext} from 'node:tls';
import {constants} from '../../core/node-crypto.js';
import {tls} from '../../core/node-tls.js';
import type {KeyPair} from './authority.js';

/** Contexts that are kept, one for each name. One costs about 30 KiB. */
export const MAX_CONTEXTS = 2_000;

/**
 * TLS 1.3 as Node has it. Of TLS 1.2 what takes a fresh key for every connection (ECDHE) and authenticates what it encrypts
 * (AEAD), whichever kind of key the certificate has.
 */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** For one name and no other: tickets are on, and each context has keys of its own, so no session resumes under another name. */
export function contextOf({cert, key}: KeyPair): SecureContext {
  return tls.createSecureContext({
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    // Visitors who put ChaCha20 first have no AES in hardware.
    secureOptions: constants.SSL_OP_PRIORITIZE_CHACHA,
    // No authorities: visitors show no certificates, and Node's own list would be read for it.
    ca: [],
  });
}
