// Chooses the certificate for a name: the given one, or a leaf of the relay's own CA, one for each name.

import {isIP} from 'node:net';
import type {SecureContext} from 'node:tls';
import type {Clock} from '../../core/clock.js';
import {LOCAL_HOST} from '../../core/localhost.js';
import type {Logger} from '../../core/logger.js';
import type {RelayEvents} from '../events.js';
import type {Part} from '../part.js';
import {Authority, type Leaf} from './authority.js';
import {GivenCertificate} from './given-certificate.js';
import {forOneSocket, ProbeContexts} from './probe-contexts.js';
import {Recent} from './recent.js';
import {TicketKeys} from './ticket-keys.js';
import {contextKey, contextOf, MAX_CONTEXTS} from './tls-context.js';

export interface CertificateSource {
  /** @param owner of the tunnel with this name. No TLS session of one owner resumes at the tunnel of another. */
  contextFor(name: string, owner?: string): SecureContext | Promise<SecureContext>;
  /** The same for one connection that says it is a probe. */
  contextForProbe(name: string, owner?: string): SecureContext | Promise<SecureContext>;
  /** PEM file of the CA to trust; undefined when certificates were given. */
  readonly caFile: string | undefined;
  /** When visitors stop to trust it: the end of the given certificate, or of the own CA; ms since 1970. */
  readonly expiresAt: number;
  /** PEM of what visitors must trust: the own CA, or the given certificate with its chain. */
  readonly trust: string;
  /** Why visitors of a name may not trust its certificate, for the owner of the tunnel. */
  warningOf(name: string): string | undefined;
  /** Whether visitors of a name may have reasons not to trust its certificate. */
  isDoubtful(name: string): boolean;
  /** @throws TunlError when these files cannot be used. */
  checkReload(files: CertificateFiles): Promise<void>;
  /** Reads the certificate files again, if there are any. @param files their new paths */
  reload(files?: CertificateFiles): Promise<void>;
  /** Stops checking the files. */
  close(): void;
}

export interface CertificateFiles {
  certFile: string | undefined;
  keyFile: string | undefined;
}

export interface CertificateOptions extends CertificateFiles {
  domain: string;
  stateDir: string;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  log: Logger;
  /** The secret of the tickets of TLS sessions (ticket-keys.ts). Default: a new one. */
  ticketSecret?: Buffer | undefined;
  /** The answers of `warningOf` may have changed. */
  onWarnings: () => void;
}

/** Leaves are kept longer than their contexts: each has less than 2 KiB, and signing takes longer than making a context. */
const MAX_LEAVES = 20_000;
/** The relay warns when its CA ends within this time, because visitors will need a new one. */
const WARN_BEFORE_MS = 180 * 24 * 3_600_000;

/** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH, STATE_DIR */
export async function openCertificates(options: CertificateOptions): Promise<CertificateSource> {
  const {certFile, keyFile} = options;
  if (certFile !== undefined && keyFile !== undefined)
    return await GivenCertificate.open({...options, certFile, keyFile});
  const authority = await Authority.open(options.stateDir);
  const source = new OwnCertificates(authority, options);
  await source.contextFor(options.domain);
  return source;
}

/** The certificates as a part of the relay. */
export class Certificates implements CertificateSource, Part {
  readonly #options: CertificateOptions;
  #source: CertificateSource | undefined;
  #warm = false;

  constructor(options: CertificateOptions) {
    this.#options = options;
  }

  get caFile(): string | undefined {
    return this.#source?.caFile;
  }

  /** @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID, KEY_MISMATCH, STATE_DIR */
  async start(): Promise<void> {
    this.#source = await openCertificates(this.#options);
  }

  /** After `start`. */
  get trust(): string {
    return (this.#source as CertificateSource).trust;
  }

  /** After `start`. */
  contextFor(name: string, owner?: string): SecureContext | Promise<SecureContext> {
    return (this.#source as CertificateSource).contextFor(name, owner);
  }

  /** After `start`. */
  contextForProbe(name: string, owner?: string): SecureContext | Promise<SecureContext> {
    return (this.#source as CertificateSource).contextForProbe(name, owner);
  }

  /** 0 before the start. */
  get expiresAt(): number {
    return this.#source?.expiresAt ?? 0;
  }

  warningOf(name: string): string | undefined {
    return this.#source?.warningOf(name);
  }

  isDoubtful(name: string): boolean {
    return this.#source?.isDoubtful(name) ?? false;
  }

  /** Signing the first leaf loads much code: this should happen before the first visitor waits for it. */
  warmUp(name: string, owner: string): void {
    if (this.#warm) return;
    this.#warm = true;
    Promise.resolve(this.contextFor(name, owner)).catch(() => {});
  }

  async checkReload(files: CertificateFiles): Promise<void> {
    await this.#source?.checkReload(files);
  }

  async reload(files: CertificateFiles): Promise<void> {
    await this.#source?.reload(files);
  }

  drain(): void {
    this.close();
  }

  close(): void {
    this.#source?.close();
  }
}

interface Made {
  context: SecureContext;
  leaf: Leaf;
}

const isValid = ({validFrom, expiresAt}: Leaf): boolean => validFrom <= Date.now() && Date.now() < expiresAt;

class OwnCertificates implements CertificateSource {
  readonly caFile: string;
  readonly #authority: Authority;
  readonly #domain: string;
  readonly #log: Logger;
  readonly #ticketKeys: TicketKeys;
  /** By `contextKey`. */
  readonly #made = new Recent<string, Made>(MAX_CONTEXTS);
  readonly #leaves = new Recent<string, Leaf>(MAX_LEAVES);
  /** Contexts whose leaf is being signed, because a browser opens several connections at once. */
  readonly #making = new Map<string, Promise<SecureContext>>();
  readonly #probes: ProbeContexts;
  #warned = false;
  /** The leaves about which it is said that they could not be renewed. */
  readonly #notRenewed = new WeakSet<Leaf>();

  constructor(
    authority: Authority,
    {domain, log, ticketSecret, clock}: Pick<CertificateOptions, 'domain' | 'log' | 'ticketSecret' | 'clock'>,
  ) {
    this.#probes = new ProbeContexts(clock);
    this.#authority = authority;
    this.#ticketKeys = new TicketKeys(ticketSecret);
    this.#domain = domain;
    this.#log = log;
    this.caFile = authority.caFile;
  }

  contextFor(name: string, owner = ''): SecureContext | Promise<SecureContext> {
    const at = contextKey(name, owner);
    const made = this.#made.get(at);
    if (made !== undefined && this.#authority.holds(made.leaf)) return made.context;
    let making = this.#making.get(at);
    if (making === undefined) {
      making = this.#make(name, owner).finally(() => this.#making.delete(at));
      this.#making.set(at, making);
    }
    return making;
  }

  contextForProbe(name: string, owner = ''): SecureContext | Promise<SecureContext> {
    const at = contextKey(name, owner);
    if (!this.#probes.isRare(at) || this.#made.get(at) !== undefined || this.#making.has(at))
      return this.contextFor(name, owner);
    return this.#leafOf(name).then((leaf) => forOneSocket(this.#contextOf(leaf, name, owner)));
  }

  async #make(name: string, owner: string): Promise<SecureContext> {
    const at = contextKey(name, owner);
    const made = this.#made.get(at);
    const leaf = await this.#leafOf(name, made?.leaf);
    if (made?.leaf === leaf) return made.context;
    const context = this.#contextOf(leaf, name, owner);
    this.#made.set(at, {context, leaf});
    return context;
  }

  #contextOf(leaf: Leaf, name: string, owner: string): SecureContext {
    return contextOf(leaf, this.#ticketKeys.of({name, owner, key: leaf.key}));
  }

  /** @param last of this name. It is replaced long before its end, so it serves until then when no new one can be made. */
  async #leafOf(name: string, last?: Leaf): Promise<Leaf> {
    this.#warn();
    const known = this.#leaves.get(name) ?? last;
    if (known !== undefined && this.#authority.holds(known)) return known;
    try {
      return await this.#sign(name);
    } catch (error) {
      if (known === undefined || !isValid(known)) throw error;
      if (!this.#notRenewed.has(known))
        this.#log.warn('no new certificate can be made; the old one serves until its end', {
          name,
          expires: new Date(known.expiresAt).toISOString(),
          reason: error instanceof Error ? error.message : '',
        });
      this.#notRenewed.add(known);
      return known;
    }
  }

  async #sign(name: string): Promise<Leaf> {
    // Browsers remember for one certificate that their user has accepted it.
    const isKept = name === this.#domain || name === LOCAL_HOST || isIP(name) > 0;
    const leaf = await (isKept ? this.#authority.signOnce(name, this.#log) : this.#authority.sign(name));
    this.#leaves.set(name, leaf);
    return leaf;
  }

  get expiresAt(): number {
    return this.#authority.expiresAt;
  }

  get trust(): string {
    return this.#authority.ca;
  }

  warningOf(): undefined {}

  /** Visitors know this CA only when somebody has installed it. */
  isDoubtful(): boolean {
    return true;
  }

  #warn(): void {
    const {expiresAt, caFile} = this.#authority;
    if (this.#warned || expiresAt - Date.now() > WARN_BEFORE_MS) return;
    this.#warned = true;
    this.#log.warn('the relay’s own CA expires soon; visitors will have to trust a new one', {
      caFile,
      expires: new Date(expiresAt).toISOString(),
    });
  }

  async checkReload(): Promise<void> {}

  async reload(): Promise<void> {}

  close(): void {}
}
