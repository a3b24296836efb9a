// Which certificate a name gets: the given one, or a leaf of the relay's own CA, one for each name.

import type {SecureContext} from 'node:tls';
import type {Clock} from '../core/clock.js';
import type {Logger} from '../core/logger.js';
import {Authority, type Leaf} from './authority.js';
import {GivenCertificate} from './given-certificate.js';
import {contextOf} from './tls-context.js';

export interface CertificateSource {
  contextFor(name: string): SecureContext | Promise<SecureContext>;
  /** PEM file of the CA to trust; undefined when certificates were given. */
  readonly caFile: string | undefined;
  /** Reads the files again, if any were given. */
  reload(): Promise<void>;
  /** Looks at the files no more. */
  close(): void;
}

export interface CertificateOptions {
  domain: string;
  certFile: string | undefined;
  keyFile: string | undefined;
  stateDir: string;
  clock: Clock;
  log: Logger;
}

/** Contexts kept; the one not used for longest goes first. A context costs about 30 KiB. */
const MAX_CONTEXTS = 2_000;
/** A leaf is replaced when less than this is left of it. */
const RENEW_BEFORE_MS = 30 * 24 * 3_600_000;

/** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH, STATE_DIR */
export async function openCertificates(options: CertificateOptions): Promise<CertificateSource> {
  const {certFile, keyFile} = options;
  if (certFile !== undefined && keyFile !== undefined)
    return await GivenCertificate.open({...options, certFile, keyFile});
  const authority = await Authority.open(options.stateDir);
  const source = new OwnCertificates(authority, options.domain);
  await source.contextFor(options.domain);
  return source;
}

class OwnCertificates implements CertificateSource {
  readonly caFile: string;
  readonly #authority: Authority;
  readonly #domain: string;
  readonly #made = new Map<string, {context: SecureContext; expiresAt: number}>();
  /** Names being signed now: a browser opens several connections at once. */
  readonly #making = new Map<string, Promise<SecureContext>>();

  constructor(authority: Authority, domain: string) {
    this.#authority = authority;
    this.#domain = domain;
    this.caFile = authority.caFile;
  }

  contextFor(name: string): SecureContext | Promise<SecureContext> {
    const made = this.#made.get(name);
    if (made !== undefined && made.expiresAt - Date.now() > RENEW_BEFORE_MS) {
      this.#made.delete(name);
      this.#made.set(name, made);
      return made.context;
    }
    let making = this.#making.get(name);
    if (making === undefined) {
      making = this.#make(name).finally(() => this.#making.delete(name));
      this.#making.set(name, making);
    }
    return making;
  }

  async #make(name: string): Promise<SecureContext> {
    const leaf: Leaf = await (name === this.#domain
      ? this.#authority.signOnce(name)
      : this.#authority.sign(name));
    const context = contextOf(leaf);
    this.#made.set(name, {context, expiresAt: leaf.expiresAt});
    if (this.#made.size > MAX_CONTEXTS) {
      const [oldest] = this.#made.keys();
      if (oldest !== undefined) this.#made.delete(oldest);
    }
    return context;
  }

  async reload(): Promise<void> {}

  close(): void {}
}
