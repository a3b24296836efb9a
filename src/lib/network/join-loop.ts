// Keeps this member in the relay's roster: joins, and joins again when its stream is lost, until the relay says no for good.

import {refusedStream} from '../agent/refused-stream.js';
import {type Clock, pause} from '../core/clock.js';
import {errorForPeer, isErrorCode, TunlError, toTunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import type {RelayLink} from '../open-link.js';
import {
  type Joined,
  memberAddress,
  type NetworkName,
  type RosterMember,
} from '../protocol/network-messages.js';
import type {StreamCode} from '../protocol/wire.js';
import type {MemberKey} from './member-key.js';
import {MembershipStream} from './membership-stream.js';

export interface JoinLoopOptions {
  readonly link: Pick<RelayLink, 'open' | 'onSession'>;
  readonly relay: string;
  readonly network: NetworkName;
  readonly member: {name: string; key: MemberKey; accepts: boolean};
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: () => object;
  onMembers(members: readonly RosterMember[]): void;
  /** The relay may have forgotten this member; it joins again. */
  onLost(): void;
  /** The relay does not let it in, for good. */
  onRefused(error: TunlError): void;
}

/** Waits between attempts, ms: each is twice as long as the one before, until the relay lets this member in. */
const FIRST_AGAIN_MS = 100;
const LONGEST_AGAIN_MS = 3_000;

/** Reasons of the relay that stay. */
const FOR_GOOD: ReadonlySet<StreamCode> = new Set<StreamCode>([
  'NOT_ALLOWED',
  'MEMBER_NAME_USED',
  'MEMBER_REPLACED',
  'MEMBER_UNPROVEN',
  'SERVICE_UNKNOWN',
  'KIND_UNKNOWN',
]);

export class JoinLoop {
  readonly #options: JoinLoopOptions;
  readonly #giveUp = new AbortController();
  readonly #leave: () => void;
  #stream: MembershipStream | undefined;
  #joined: Joined | undefined;
  #refusal: TunlError | undefined;
  #isRunning = false;
  #nextWaitMs = FIRST_AGAIN_MS;

  /** Begins at once. */
  constructor(options: JoinLoopOptions) {
    this.#options = options;
    this.#leave = options.link.onSession(() => this.#restart());
    void this.#run();
  }

  /** The answer of the relay; undefined before the first. */
  get joined(): Joined | undefined {
    return this.#joined;
  }

  /** Why the relay has not let this member in, the last time that it was asked. */
  get refusal(): TunlError | undefined {
    return this.#refusal;
  }

  sendState(state: object): void {
    this.#stream?.sendState(state);
  }

  close(): void {
    this.#leave();
    this.#giveUp.abort();
    this.#stream?.close();
  }

  /** A new session with the relay: the stream of the one before is lost. */
  #restart(): void {
    if (this.#giveUp.signal.aborted) return;
    this.#stream?.close();
    this.#stream = undefined;
    this.#options.onLost();
    this.#nextWaitMs = FIRST_AGAIN_MS;
    void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const {clock, log} = this.#options;
    const {signal} = this.#giveUp;
    while (!signal.aborted && this.#stream === undefined) {
      const stream = this.#newStream();
      this.#stream = stream;
      try {
        await stream.open();
      } catch (error) {
        if (this.#stream === stream) this.#stream = undefined;
        log.debug('the stream of the membership did not open', {code: toTunlError(error).code});
      }
      if (this.#stream !== undefined) break;
      await pause(clock, this.#waitMs(), signal);
    }
    this.#isRunning = false;
  }

  #waitMs(): number {
    const waitMs = this.#nextWaitMs;
    this.#nextWaitMs = Math.min(LONGEST_AGAIN_MS, waitMs * 2);
    return waitMs;
  }

  #newStream(): MembershipStream {
    const {link, relay, network, member, state, onMembers} = this.#options;
    const stream: MembershipStream = new MembershipStream({
      link,
      relay,
      network,
      member,
      signal: this.#giveUp.signal,
      state,
      onJoined: (joined) => this.#onJoined(joined),
      onMembers: (members) => {
        if (this.#stream === stream) onMembers(members);
      },
      onEnded: (code, message) => {
        if (this.#stream === stream) this.#onEnded(code, message);
      },
    });
    return stream;
  }

  #onJoined(joined: Joined): void {
    const {relay, network, member, onRefused} = this.#options;
    if (joined.address === memberAddress(relay, network, member.key.raw)) {
      this.#joined = joined;
      this.#refusal = undefined;
      this.#nextWaitMs = FIRST_AGAIN_MS;
      return;
    }
    const reason = 'The relay has given this member an address that is not that of its key.';
    onRefused(new TunlError('MEMBER_UNPROVEN', {reason}));
  }

  #onEnded(code: StreamCode, message: string | undefined): void {
    const {clock, log, onRefused, onLost} = this.#options;
    this.#stream = undefined;
    const isFirst = this.#joined === undefined;
    if (FOR_GOOD.has(code) || (isFirst && code === 'NETWORK_FULL')) {
      onRefused(endOf(code, message));
      return;
    }
    // A session that ends is no answer of the relay.
    if (code !== 'SESSION_ENDED') this.#refusal = endOf(code, message);
    onLost();
    log.debug('the membership is lost', {code, reason: message});
    clock.after(this.#waitMs(), () => void this.#run());
  }
}

/** The reason of the relay as an error. */
export function endOf(code: StreamCode, message: string | undefined): TunlError {
  if (code === 'SERVICE_UNKNOWN' || code === 'KIND_UNKNOWN')
    return errorForPeer('RELAY_LACKS_FEATURE', {reason: 'The relay has no private networks.'});
  if (isErrorCode(code)) return errorForPeer(code, message === undefined ? {} : {reason: message});
  return refusedStream(code, message);
}
