// The tunnels of one command, by name: opened together, added and removed while it runs, ended together.

import type {AddressOptions} from '../agent/address-rules.js';
import type {TunnelEvent} from '../agent/events.js';
import type {ForwardOptions, Tunnel} from '../agent/options.js';
import type {LinkOptions} from '../agent/upstreams/gated/links.js';
import type {SharedLink} from '../agent/upstreams/gated/tunnel-gates.js';
import type {UpstreamTarget} from '../agent/upstreams/target.js';
import {TunlError} from '../core/errors.js';
import type {ListedAddress} from '../launch/journal.js';
import type {LoginFact} from '../launch/program.js';
import type {NamedLink} from './background-control.js';
import type {Closable} from './hold.js';

/** A tunnel, or one with a program. */
export type Member = Closable &
  Pick<Tunnel, 'ready' | 'rttMs' | 'traffic' | 'closed' | 'links' | 'share' | 'revoke' | 'restrict'> & {
    destroy(): void;
    readonly login?: readonly LoginFact[];
  };

/** A tunnel to open. */
export interface Opening {
  /** The tunnel's name in the output of the command, and for `tunl remove`. */
  readonly name: string;
  /** True: the tunnel and the command end together, as with a program. */
  readonly kept?: boolean;
  /** The service that visitors reach; absent when a program opens it later. */
  readonly upstream?: UpstreamTarget;
  open(options: ForwardOptions): Promise<Member>;
}

type NamedEvent = TunnelEvent & {tunnel?: string};

export interface TunnelGroupOptions {
  /** How long the visitors of the other tunnels may take to finish when a kept tunnel ends. */
  drainTimeoutMs: number;
  /** Each event has the name of its tunnel. When the command began with one tunnel, the events of that one have no name. */
  onEvent: (event: NamedEvent) => void;
  /** Tunnels were added or have ended. */
  onChange: (addresses: readonly ListedAddress[]) => void;
}

interface Entry {
  readonly member: Member;
  readonly kept: boolean;
  /** Settles after `member.closed`, when the tunnel has left the group. */
  readonly gone: Promise<void>;
}

export class TunnelGroup implements Closable {
  /** Settles when all tunnels have ended; rejects with the error of the first that failed. */
  readonly closed: Promise<void>;
  readonly #options: TunnelGroupOptions;
  readonly #over = Promise.withResolvers<void>();
  readonly #entries = new Map<string, Entry>();
  /** Tunnels that are being opened, by name. */
  readonly #opening = new Map<string, AbortController>();
  readonly #leaving = new Set<string>();
  /** Events of the link that were passed on already: each tunnel of the link reports them. */
  readonly #told = new WeakSet<TunnelEvent>();
  #begun = false;
  #failure: {error: unknown} | undefined;
  #closing: Promise<void> | undefined;
  /** Bytes of the tunnels that have ended. */
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(options: TunnelGroupOptions) {
    this.#options = options;
    this.closed = this.#over.promise;
    this.closed.catch(() => {});
  }

  /**
   * Opens the tunnels in this order. When one fails, the ones before it are closed. @throws TunlError the reason of the
   * failure
   */
  async begin(openings: readonly Opening[], {signal, ...options}: ForwardOptions): Promise<void> {
    const isAlone = openings.length === 1;
    try {
      for (const opening of openings)
        await this.#open(opening, {tag: isAlone ? undefined : opening.name, options, signal});
    } catch (error) {
      await Promise.all([...this.#entries.values()].map(({member}) => member.close({drainTimeoutMs: 0})));
      throw error;
    }
    this.#begun = true;
    this.#endIfEmpty();
  }

  /** @throws TunlError BACKGROUND_UNKNOWN: the command is about to end, and nothing can change that */
  throwIfEnding(): void {
    if (this.#closing !== undefined || this.#entries.size === 0) throw aboutToEnd();
  }

  /**
   * Opens one more tunnel. Visitors of the others notice nothing.
   *
   * @param options `signal` cancels the opening; it does not end an open tunnel.
   * @throws TunlError BACKGROUND_NAME_USED, BACKGROUND_UNKNOWN (the command is about to end), or the reason of the failure
   */
  async add(opening: Opening, {signal, ...options}: ForwardOptions): Promise<ListedAddress> {
    this.throwIfEnding();
    const {member} = await this.#open(opening, {tag: opening.name, options, signal}).catch((error) => {
      throw this.#closing !== undefined ? aboutToEnd() : error;
    });
    return addressOf(opening.name, member);
  }

  /**
   * Ends one tunnel. It takes no new visitors; open ones may finish within the time, and are reset after it.
   *
   * @throws TunlError BACKGROUND_NAME_UNKNOWN, BACKGROUND_KEPT (the last one, or one with a program)
   */
  async remove(name: string, options: {drainTimeoutMs: number}): Promise<ListedAddress> {
    const entry = this.#get(name);
    if (entry.kept)
      throw new TunlError('BACKGROUND_KEPT', {reason: `The tunnel ${name} ends with its program.`});
    const others = [...this.#entries.keys()].filter((each) => each !== name && !this.#leaving.has(each));
    if (others.length === 0)
      throw new TunlError('BACKGROUND_KEPT', {reason: `${name} is the only tunnel of its command.`});
    this.#leaving.add(name);
    try {
      await entry.member.close(options);
      await entry.gone;
    } finally {
      this.#leaving.delete(name);
    }
    return addressOf(name, entry.member);
  }

  /** @throws TunlError NOT_PRIVATE, BACKGROUND_NAME_UNKNOWN, or like `Tunnel.share` */
  share(name: string, options: LinkOptions): SharedLink {
    return this.#get(name).member.share(options);
  }

  /** The links of one tunnel, or of all that are private. @throws TunlError NOT_PRIVATE, BACKGROUND_NAME_UNKNOWN */
  links(name: string | undefined): NamedLink[] {
    const names = name === undefined ? this.#privateNames : [name];
    return names.flatMap((tunnel) => this.#get(tunnel).member.links.map((link) => ({...link, tunnel})));
  }

  /** @throws TunlError BACKGROUND_NAME_UNKNOWN, or like `Tunnel.restrict` */
  restrict(name: string, options: AddressOptions): void {
    this.#get(name).member.restrict(options);
  }

  /** @throws TunlError LINK_UNKNOWN */
  revoke(id: string): NamedLink {
    const tunnel = this.#privateNames.find((name) =>
      this.#get(name).member.links.some((link) => link.id === id),
    );
    if (tunnel === undefined) throw new TunlError('LINK_UNKNOWN');
    return {...this.#get(tunnel).member.revoke(id), tunnel};
  }

  get addresses(): ListedAddress[] {
    return [...this.#entries].map(([name, {member}]) => addressOf(name, member));
  }

  /** Login data of the programs. */
  get login(): LoginFact[] {
    return [...this.#entries.values()].flatMap(({member}) => member.login ?? []);
  }

  get rttMs(): number | undefined {
    for (const {member} of this.#entries.values()) if (member.rttMs !== undefined) return member.rttMs;
    return undefined;
  }

  /** The bytes of all visitors so far, also of tunnels that have ended. */
  get traffic(): {bytesIn: number; bytesOut: number} {
    const sum = {bytesIn: this.#bytesIn, bytesOut: this.#bytesOut};
    for (const {member} of this.#entries.values()) {
      const {bytesIn, bytesOut} = member.traffic;
      sum.bytesIn += bytesIn;
      sum.bytesOut += bytesOut;
    }
    return sum;
  }

  close(options: {drainTimeoutMs: number}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  destroy(): void {
    for (const giveUp of this.#opening.values()) giveUp.abort();
    for (const {member} of this.#entries.values()) member.destroy();
  }

  get #privateNames(): string[] {
    return [...this.#entries].flatMap(([name, {member}]) => (member.ready.link === undefined ? [] : [name]));
  }

  #get(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    const names = [...this.#entries.keys()].join(', ');
    throw new TunlError('BACKGROUND_NAME_UNKNOWN', {
      reason: `No tunnel has the name ${name}, only ${names}.`,
      next: 'Give one of these names.',
    });
  }

  async #close(options: {drainTimeoutMs: number}): Promise<void> {
    for (const giveUp of this.#opening.values()) giveUp.abort();
    await Promise.all([...this.#entries.values()].map(({member}) => member.close(options)));
  }

  async #open(
    opening: Opening,
    {
      tag,
      options,
      signal,
    }: {tag: string | undefined; options: ForwardOptions; signal: AbortSignal | undefined},
  ): Promise<Entry> {
    const {name, kept = false} = opening;
    if (this.#entries.has(name) || this.#opening.has(name))
      throw new TunlError('BACKGROUND_NAME_USED', {reason: `A tunnel already has the name ${name}.`});
    // A separate signal, because the caller's would also end an open tunnel.
    const giveUp = new AbortController();
    const abort = () => giveUp.abort();
    signal?.addEventListener('abort', abort, {once: true});
    if (signal?.aborted) abort();
    this.#opening.set(name, giveUp);
    try {
      const member = await opening.open({
        ...options,
        signal: giveUp.signal,
        onEvent: (event, of) => this.#tell(event, of === 'link' ? undefined : tag, of),
      });
      const entry = {member, kept, gone: this.#whenGone(name, member, kept)};
      this.#entries.set(name, entry);
      this.#changed();
      return entry;
    } finally {
      signal?.removeEventListener('abort', abort);
      this.#opening.delete(name);
    }
  }

  #tell(event: TunnelEvent, tunnel: string | undefined, of: 'link' | undefined): void {
    if (of === 'link') {
      if (this.#told.has(event)) return;
      this.#told.add(event);
    }
    this.#options.onEvent(tunnel === undefined ? event : {...event, tunnel});
  }

  async #whenGone(name: string, member: Member, kept: boolean): Promise<void> {
    await member.closed.catch((error: unknown) => {
      this.#failure ??= {error};
    });
    const {bytesIn, bytesOut} = member.traffic;
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
    this.#entries.delete(name);
    this.#changed();
    if (kept) void this.close({drainTimeoutMs: this.#options.drainTimeoutMs}).catch(() => {});
    this.#endIfEmpty();
  }

  #changed(): void {
    if (this.#begun && this.#closing === undefined) this.#options.onChange(this.addresses);
  }

  #endIfEmpty(): void {
    if (!this.#begun || this.#entries.size > 0) return;
    for (const giveUp of this.#opening.values()) giveUp.abort();
    if (this.#failure === undefined) this.#over.resolve();
    else this.#over.reject(this.#failure.error);
  }
}

function addressOf(tunnel: string, {ready: {address, upstream}}: Member): ListedAddress {
  return {tunnel, address, upstream};
}

function aboutToEnd(): TunlError {
  return new TunlError('BACKGROUND_UNKNOWN', {reason: 'The command is about to end.'});
}
