// A certificate chain and its key from PEM files, checked one against the other.

import type {SecureContext} from 'node:tls';
import {TunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import {createPrivateKey, X509Certificate} from '../core/node-crypto.js';
import {tls} from '../core/node-tls.js';
import {readTextFile} from '../core/text-file.js';

export interface KeyPairFiles {
  certFile: string;
  keyFile: string;
  domain: string;
  log: Logger;
}

/** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH */
export async function readKeyPair({certFile, keyFile, domain, log}: KeyPairFiles): Promise<SecureContext> {
  const [cert, key] = await Promise.all([readTextFile(certFile), readTextFile(keyFile)]);
  const parsed = parse(certFile, 'certificate', () => new X509Certificate(cert));
  const privateKey = parse(keyFile, 'private key', () => createPrivateKey(key));
  if (!parsed.checkPrivateKey(privateKey)) {
    throw new TunlError('KEY_MISMATCH', {reason: `${keyFile} is not the key of ${certFile}.`});
  }
  const context = parse(certFile, 'certificate chain', () => contextOf({cert, key}));
  for (const name of [domain, `anything.${domain}`]) {
    if (parsed.checkHost(name) === undefined)
      log.warn('the certificate does not cover a name', {name, certFile});
  }
  if (Date.parse(parsed.validTo) < Date.now())
    log.warn('the certificate has expired', {certFile, validTo: parsed.validTo});
  return context;
}

/** Tickets are on: each context has keys of its own, so no name's session resumes under another. */
export function contextOf({cert, key}: {cert: string; key: string}): SecureContext {
  // No authorities: visitors show no certificates, and Node's own list would be read for it.
  return tls.createSecureContext({cert, key, minVersion: 'TLSv1.2', ca: []});
}

function parse<T>(path: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    // The cause's message is OpenSSL's about the form of the file; it repeats nothing of a key.
    throw new TunlError('CERTIFICATE_INVALID', {reason: `${path} holds no usable ${what}.`, cause: error});
  }
}
