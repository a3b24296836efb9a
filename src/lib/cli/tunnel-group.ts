// The tunnels of one command, by name: opened together, added and removed while it runs, ended together.

import type {TunnelEvent} from '../agent/events.js';
import type {ForwardOptions, Tunnel} from '../agent/options.js';
import type {UpstreamTarget} from '../agent/upstreams/target.js';
import {TunlError} from '../core/errors.js';
import type {ListedAddress} from '../launch/journal.js';
import type {LoginFact} from '../launch/program.js';
import type {Closable} from './hold.js';

/** A tunnel, or one with a program. */
export type Member = Closable &
  Pick<Tunnel, 'ready' | 'rttMs' | 'traffic' | 'closed'> & {
    destroy(): void;
    readonly login?: readonly LoginFact[];
  };

/** A tunnel that is not there yet. */
export interface Opening {
  /** The tunnel's name in the output of the command, and for `tunl remove`. */
  readonly name: string;
  /** It ends with the command only, and the command with it: a tunnel and its program. */
  readonly kept?: boolean;
  /** Where visitors are led; absent where that is told later. */
  readonly upstream?: UpstreamTarget;
  open(options: ForwardOptions): Promise<Member>;
}

type NamedEvent = TunnelEvent & {tunnel?: string};

export interface TunnelGroupOptions {
  /** How long the visitors of the others may finish when a kept tunnel ends. */
  drainTimeoutMs: number;
  /** Events have the name of their tunnel, unless the command began with one: then those of that one have none. */
  onEvent: (event: NamedEvent) => void;
  /** Tunnels were added or have ended. */
  onChange: (addresses: readonly ListedAddress[]) => void;
}

interface Entry {
  readonly member: Member;
  readonly kept: boolean;
  /** Settles after `member.closed`, when it is in the group no more. */
  readonly gone: Promise<void>;
}

export class TunnelGroup implements Closable {
  /** Settles when all have ended; rejects with what ended the first that failed. */
  readonly closed: Promise<void>;
  readonly #options: TunnelGroupOptions;
  readonly #over = Promise.withResolvers<void>();
  readonly #entries = new Map<string, Entry>();
  /** Names of tunnels that are being opened. */
  readonly #opening = new Map<string, AbortController>();
  readonly #leaving = new Set<string>();
  /** Events of the link that were told already: each tunnel hears of them. */
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

  /** Opens them in this order. When one cannot be had, those before it are ended. @throws TunlError why it cannot be had */
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

  /**
   * One more. Visitors of the others notice nothing.
   *
   * @param options `signal` gives up while it is being opened.
   * @throws TunlError BACKGROUND_NAME_USED, BACKGROUND_UNKNOWN (it is about to end), or why it cannot be had
   */
  async add(opening: Opening, {signal, ...options}: ForwardOptions): Promise<ListedAddress> {
    if (this.#closing !== undefined || this.#entries.size === 0) throw aboutToEnd();
    const {member} = await this.#open(opening, {tag: opening.name, options, signal}).catch((error) => {
      throw this.#closing !== undefined ? aboutToEnd() : error;
    });
    return addressOf(opening.name, member);
  }

  /**
   * No new visitors for this one from now on. Those that are open may finish within the time, and are reset then.
   *
   * @throws TunlError BACKGROUND_NAME_UNKNOWN, BACKGROUND_KEPT (the last one, or one with a program)
   */
  async remove(name: string, options: {drainTimeoutMs: number}): Promise<ListedAddress> {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      const names = [...this.#entries.keys()].join(', ');
      throw new TunlError('BACKGROUND_NAME_UNKNOWN', {
        reason: `No tunnel has the name ${name}, only ${names}.`,
        next: 'Give one of these names.',
      });
    }
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

  /** Of all visitors so far, those of tunnels that have ended included. */
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
    // The caller's signal would end an open tunnel as well.
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
