// A certificate from files that other programs renew. They are read again when they change; the old certificate stays while
// the new one is unusable.

import {stat} from 'node:fs/promises';
import type {SecureContext} from 'node:tls';
import type {Clock, Timer} from '../../core/clock.js';
import {systemCode, toTunlError} from '../../core/errors.js';
import {createLogger, type Logger} from '../../core/logger.js';
import {randomBytes} from '../../core/node-crypto.js';
import {randomLabel} from '../../protocol/names.js';
import type {RelayEvents} from '../events.js';
import type {CertificateFiles, CertificateSource} from './certificates.js';
import {forOneSocket, ProbeContexts} from './probe-contexts.js';
import {type GivenPair, readKeyPair} from './read-key-pair.js';
import {Recent} from './recent.js';
import {TicketKeys} from './ticket-keys.js';
import {contextKey, contextOf, MAX_CONTEXTS} from './tls-context.js';

/** Certificates are renewed weeks before they expire, so one check a minute is enough. */
const LOOK_EVERY_MS = 60_000;

export interface GivenCertificateOptions {
  certFile: string;
  keyFile: string;
  domain: string;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  log: Logger;
  ticketSecret?: Buffer | undefined;
  /** The answers of `warningOf` may have changed. */
  onWarnings: () => void;
}

export class GivenCertificate implements CertificateSource {
  readonly caFile = undefined;
  #options: GivenCertificateOptions;
  #pair: GivenPair;
  readonly #ticketKeys: TicketKeys;
  /** One context for each name and owner, so that no TLS session of one resumes at another. By `contextKey`. */
  readonly #contexts = new Recent<string, SecureContext>(MAX_CONTEXTS);
  readonly #probes: ProbeContexts;
  /** Whether the certificate is for every label below the domain: a name that nobody can have chosen shows it. */
  #coversLabels: boolean;
  /** Whether the certificate is for a name. */
  readonly #covered = new Recent<string, boolean>(MAX_CONTEXTS);
  /** The state of the files at the last read. */
  #stamp: string;
  /** Why the last read failed. The reason may end without a change of the files, so they are read at each look until then. */
  #failure: string | undefined;
  #timer: Timer | undefined;
  /** An expired certificate is told when it is read, too. */
  #toldExpired: boolean;
  #reading: Promise<void> = Promise.resolve();

  private constructor(options: GivenCertificateOptions, pair: GivenPair, stamp: string) {
    this.#options = options;
    this.#probes = new ProbeContexts(options.clock);
    this.#ticketKeys = new TicketKeys(options.ticketSecret);
    this.#pair = pair;
    this.#coversLabels = this.#coversAnyLabel();
    this.#stamp = stamp;
    this.#toldExpired = this.#isExpired;
    this.#lookLater();
  }

  /** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH */
  static async open(options: GivenCertificateOptions): Promise<GivenCertificate> {
    const stamp = await stampOf(options);
    return new GivenCertificate(options, await readKeyPair(options), stamp);
  }

  contextFor(name: string, owner = ''): SecureContext {
    const at = contextKey(name, owner);
    const known = this.#contexts.get(at);
    if (known !== undefined) return known;
    const context = this.#contextOf(name, owner);
    this.#contexts.set(at, context);
    return context;
  }

  contextForProbe(name: string, owner = ''): SecureContext {
    const at = contextKey(name, owner);
    if (!this.#probes.isRare(at) || this.#contexts.get(at) !== undefined) return this.contextFor(name, owner);
    return forOneSocket(this.#contextOf(name, owner));
  }

  #contextOf(name: string, owner: string): SecureContext {
    return contextOf(this.#pair, this.#ticketKeys.of({name, owner, key: this.#pair.key}));
  }

  get expiresAt(): number {
    return this.#pair.expiresAt;
  }

  get trust(): string {
    return this.#pair.cert;
  }

  warningOf(name: string): string | undefined {
    const of = `The relay’s certificate for ${name}`;
    if (!this.#covers(name))
      return `${of} is for other names, so visitors do not trust it. The relay needs one for *.${this.#options.domain}.`;
    return this.#isExpired
      ? `${of} has expired, so visitors do not trust it. The relay’s operator must renew it.`
      : undefined;
  }

  isDoubtful(name: string): boolean {
    const {leaf} = this.#pair;
    return leaf.issuer === leaf.subject || this.#isExpired || !this.#covers(name);
  }

  /** This is asked for every visitor and every bind. */
  #covers(name: string): boolean {
    if (this.#coversLabels && this.#isPlainLabel(name)) return true;
    let covered = this.#covered.get(name);
    if (covered === undefined) {
      covered = this.#pair.leaf.checkHost(name) !== undefined;
      this.#covered.set(name, covered);
    }
    return covered;
  }

  #coversAnyLabel(): boolean {
    return this.#pair.leaf.checkHost(`${randomLabel(randomBytes)}.${this.#options.domain}`) !== undefined;
  }

  /** True for one label below the domain without letters of other alphabets, to which a wildcard may not apply. */
  #isPlainLabel(name: string): boolean {
    const {domain} = this.#options;
    const end = name.length - domain.length - 1;
    if (end <= 0 || name.indexOf('.') !== end || !name.endsWith(domain)) return false;
    return /^(?!xn--)[a-z0-9-]+$/.test(name.slice(0, end));
  }

  get #isExpired(): boolean {
    return this.#pair.expiresAt <= Date.now();
  }

  /** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH */
  async checkReload(files: CertificateFiles): Promise<void> {
    try {
      // A pair gets its warnings when it is used.
      await readKeyPair({...this.#with(files), log: createLogger('relay', undefined)});
    } catch (error) {
      this.#refuse(error);
      throw error;
    }
  }

  /** Never fails: an unusable certificate is logged and changes nothing. */
  reload(files?: CertificateFiles): Promise<void> {
    if (files !== undefined) this.#options = this.#with(files);
    return this.#readNext();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #lookLater(): void {
    const leftMs = this.#toldExpired ? LOOK_EVERY_MS : this.#pair.expiresAt - Date.now();
    this.#timer = this.#options.clock.after(Math.max(0, Math.min(LOOK_EVERY_MS, leftMs)), () => {
      void this.#look().then(() => {
        if (this.#timer !== undefined) this.#lookLater();
      });
    });
  }

  async #look(): Promise<void> {
    if ((await stampOf(this.#options)) !== this.#stamp) await this.reload();
    else if (this.#failure !== undefined) await this.#readNext('again');
    if (this.#isExpired && !this.#toldExpired) this.#expire();
  }

  /** The certificate in use has just expired, and there is no new one. */
  #expire(): void {
    const {certFile, events, onWarnings} = this.#options;
    this.#toldExpired = true;
    events.emit({type: 'certificate-expired', certFile, validTo: this.#pair.leaf.validTo});
    onWarnings();
  }

  #readNext(again?: 'again'): Promise<void> {
    // A read that has begun may have seen the old files.
    this.#reading = this.#reading.then(() => this.#read(again));
    return this.#reading;
  }

  /** @param again the files have not changed since a read that failed, so the same reason is not logged again. */
  async #read(again?: 'again'): Promise<void> {
    const {certFile, log} = this.#options;
    const told = again && this.#failure;
    // The state is taken before the read, so that the next check notices a change during the read.
    this.#stamp = await stampOf(this.#options);
    try {
      this.#pair = await readKeyPair(this.#options);
      this.#failure = undefined;
      this.#toldExpired = this.#isExpired;
      this.#contexts.clear();
      this.#covered.clear();
      this.#coversLabels = this.#coversAnyLabel();
      this.#options.onWarnings();
      log.info('the certificate was read again', {certFile});
    } catch (error) {
      this.#failure = toTunlError(error).message;
      if (this.#failure !== told) this.#refuse(error);
    }
  }

  #refuse(error: unknown): void {
    const {code, message} = toTunlError(error);
    this.#options.log.error('the new certificate cannot be used, the old one stays', {
      code,
      reason: message,
    });
  }

  #with({certFile, keyFile}: CertificateFiles): GivenCertificateOptions {
    const {certFile: cert, keyFile: key} = this.#options;
    return {...this.#options, certFile: certFile ?? cert, keyFile: keyFile ?? key};
  }
}

/**
 * The value changes when a file, its mode or its owner changes, and when a link points to another file, as with certbot.
 */
async function stampOf({certFile, keyFile}: {certFile: string; keyFile: string}): Promise<string> {
  const stamps = await Promise.all(
    [certFile, keyFile].map((path) =>
      stat(path, {bigint: true}).then(
        ({dev, ino, size, mtimeNs, ctimeNs}) => [dev, ino, size, mtimeNs, ctimeNs].join(':'),
        (error: unknown) => systemCode(error),
      ),
    ),
  );
  return stamps.join(' ');
}
