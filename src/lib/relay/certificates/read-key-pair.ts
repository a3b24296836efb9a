// Reads a certificate chain and its key from PEM files, and checks that they belong together.

import type {X509Certificate as Certificate} from 'node:crypto';
import {TunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import {parse, parseCertificate, parsePrivateKey} from '../../core/pem.js';
import {readTextFile} from '../../core/text-file.js';
import type {KeyPair} from './authority.js';
import {contextOf} from './tls-context.js';

export interface GivenPair extends KeyPair {
  readonly leaf: Certificate;
  /** The end of its validity, ms of wall clock. */
  readonly expiresAt: number;
}

export interface KeyPairFiles {
  certFile: string;
  keyFile: string;
  domain: string;
  log: Logger;
}

/** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH */
export async function readKeyPair({certFile, keyFile, domain, log}: KeyPairFiles): Promise<GivenPair> {
  const [cert, key] = await Promise.all([readTextFile(certFile), readTextFile(keyFile)]);
  const parsed = parseCertificate(certFile, cert);
  if (!parsed.checkPrivateKey(parsePrivateKey(keyFile, key))) {
    throw new TunlError('KEY_MISMATCH', {reason: `${keyFile} is not the key of ${certFile}.`});
  }
  // This context only tests the pair; each name gets a separate context.
  parse({path: certFile, text: cert, what: 'certificate chain'}, () => contextOf({cert, key}));
  for (const name of [domain, `anything.${domain}`]) {
    if (parsed.checkHost(name) === undefined)
      log.warn('the certificate does not cover a name', {name, certFile});
  }
  const {validFrom, validTo} = parsed;
  const expiresAt = Date.parse(validTo);
  if (expiresAt < Date.now()) log.warn('the certificate has expired', {certFile, validTo});
  if (Date.parse(validFrom) > Date.now())
    log.warn('the certificate is not valid yet; is the clock right?', {certFile, validFrom});
  return {cert, key, leaf: parsed, expiresAt};
}
