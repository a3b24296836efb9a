// Which certificate a name gets: the given one, or a leaf of the relay's own CA, one for each name.

import {readFile} from 'node:fs/promises';
import type {SecureContext} from 'node:tls';
import {systemCode, TunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import {createPrivateKey, X509Certificate} from '../core/node-crypto.js';
import {tls} from '../core/node-tls.js';
import {Authority} from './authority.js';

export interface CertificateSource {
  contextFor(name: string): SecureContext;
  /** PEM file of the CA to trust; undefined when certificates were given. */
  readonly caFile: string | undefined;
}

export interface CertificateOptions {
  domain: string;
  certFile: string | undefined;
  keyFile: string | undefined;
  stateDir: string;
  log: Logger;
}

/** Contexts kept; the one not used for longest goes first. A context costs about 30 KiB. */
const MAX_CONTEXTS = 2_000;
/** A leaf is replaced when less than this is left of it. */
const RENEW_BEFORE_MS = 30 * 24 * 3_600_000;

/** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH, STATE_DIR */
export async function openCertificates(options: CertificateOptions): Promise<CertificateSource> {
  const {certFile, keyFile} = options;
  if (certFile !== undefined && keyFile !== undefined) return await openGiven(certFile, keyFile, options);
  const authority = await Authority.open(options.stateDir);
  return new OwnCertificates(authority);
}

class OwnCertificates implements CertificateSource {
  readonly caFile: string;
  readonly #authority: Authority;
  readonly #made = new Map<string, {context: SecureContext; expiresAt: number}>();

  constructor(authority: Authority) {
    this.#authority = authority;
    this.caFile = authority.caFile;
  }

  contextFor(name: string): SecureContext {
    const made = this.#made.get(name);
    if (made !== undefined && made.expiresAt - Date.now() > RENEW_BEFORE_MS) {
      this.#made.delete(name);
      this.#made.set(name, made);
      return made.context;
    }
    const leaf = this.#authority.sign(name);
    const context = contextOf(leaf);
    this.#made.set(name, {context, expiresAt: leaf.expiresAt});
    if (this.#made.size > MAX_CONTEXTS) {
      const [oldest] = this.#made.keys();
      if (oldest !== undefined) this.#made.delete(oldest);
    }
    return context;
  }
}

async function openGiven(
  certFile: string,
  keyFile: string,
  {domain, log}: CertificateOptions,
): Promise<CertificateSource> {
  const [cert, key] = await Promise.all([readPem(certFile), readPem(keyFile)]);
  const parsed = parse(certFile, 'certificate', () => new X509Certificate(cert));
  const privateKey = parse(keyFile, 'private key', () => createPrivateKey(key));
  if (!parsed.checkPrivateKey(privateKey)) {
    throw new TunlError('KEY_MISMATCH', {reason: `${keyFile} is not the key of ${certFile}.`});
  }
  for (const name of [domain, `anything.${domain}`]) {
    if (parsed.checkHost(name) === undefined)
      log.warn('the certificate does not cover a name', {name, certFile});
  }
  if (Date.parse(parsed.validTo) < Date.now())
    log.warn('the certificate has expired', {certFile, validTo: parsed.validTo});
  const context = parse(certFile, 'certificate chain', () => contextOf({cert, key}));
  return {contextFor: () => context, caFile: undefined};
}

/** Tickets are on: each context has keys of its own, so no name's session resumes under another. */
function contextOf({cert, key}: {cert: string; key: string}): SecureContext {
  // No authorities: visitors show no certificates, and Node's own list would be read for it.
  return tls.createSecureContext({cert, key, minVersion: 'TLSv1.2', ca: []});
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new TunlError('FILE_UNREADABLE', {
      reason: `${path} cannot be read (${systemCode(error)}).`,
      cause: error,
    });
  }
}

function parse<T>(path: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    // The cause's message is OpenSSL's about the form of the file; it repeats nothing of a key.
    throw new TunlError('CERTIFICATE_INVALID', {reason: `${path} holds no usable ${what}.`, cause: error});
  }
}
