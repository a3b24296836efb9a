// One stream of the service `network`: a member that proves its key and then lives as long as the stream, or a watcher that only
// gets rosters.

import type {Clock, Timer} from '../../core/clock.js';
import {createPublicKey, randomBytes, verify} from '../../core/node-crypto.js';
import type {Stream, StreamSink} from '../../mux/stream.js';
import {MalformedMessage} from '../../protocol/fields.js';
import {encodeLine, LineReader} from '../../protocol/lines.js';
import {
  type Joined,
  memberText,
  NETWORK_LIMITS,
  type NetworkLine,
  type NetworkOpen,
  parseSignature,
  parseStateLine,
} from '../../protocol/network-messages.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {Opener} from '../agents/opened-streams.js';
import type {TokenBuckets} from '../doors/token-buckets.js';
import {MemberJoins} from './member-joins.js';
import {RosterWriter} from './roster-writer.js';

/** From the challenge to the signature, ms. The link may be lost meanwhile. */
const PROOF_MS = 60_000;
/** From the line with the reason to the reset of a stream that takes no bytes, ms. */
const LAST_LINE_MS = 5_000;
/** The SPKI form of an Ed25519 key is this, and the raw key. */
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

export interface MembershipOptions {
  stream: Stream;
  about: NetworkOpen;
  opener: Opener;
  /** The relay's own name. */
  domain: string;
  clock: Clock;
  /** Limits the lines of members, by their name in `source`. */
  lines: TokenBuckets;
  source: string;
  /** The member has proved its key. */
  onProved: () => void;
  onState: (state: object) => void;
  /** The stream has ended, or will. Called once. `isEnded`: by this relay. */
  onOver: (code: StreamCode | undefined, isEnded: boolean) => void;
}

/** `joining`: the key is proved, and the answer of the desk is due. */
type Phase = 'new' | 'proving' | 'joining' | 'in' | 'over';

export class Membership implements StreamSink {
  readonly about: NetworkOpen;
  readonly opener: Opener;
  /** The desk's number of this member. */
  id: number | undefined;
  address = '';
  /** Streams from this member and to it. */
  readonly joins = new MemberJoins();
  /** The streams to it that are not answered yet. */
  waiting = 0;
  readonly #options: MembershipOptions;
  readonly #stream: Stream;
  readonly #reader = new LineReader(NETWORK_LIMITS.memberLineBytes);
  #phase: Phase = 'new';
  #challenge = '';
  readonly #rosters: RosterWriter;
  #lineTimer: Timer | undefined;
  #endTimer: Timer | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.about = options.about;
    this.opener = options.opener;
    const {stream, clock} = options;
    const onUnread = () => this.end('TOO_MUCH_UNREAD', 'The roster was not read.');
    this.#rosters = new RosterWriter({stream, clock, onUnread});
    this.#stream.sink = this;
  }

  get isIn(): boolean {
    return this.#phase === 'in';
  }

  get isOver(): boolean {
    return this.#phase === 'over';
  }

  /** Accepts the stream, and asks for the proof. */
  challenge(): void {
    if (this.#phase !== 'new') return;
    this.#phase = 'proving';
    this.#challenge = randomBytes(32).toString('hex');
    this.#stream.accept();
    this.#send({challenge: this.#challenge});
    this.#endTimer = this.#options.clock.after(PROOF_MS, () =>
      this.end('MEMBER_UNPROVEN', 'The signature did not come in time.'),
    );
    this.#read();
  }

  /** It is a member from now on, or a watcher. */
  enter(joined: Joined): void {
    if (this.#phase === 'over') return;
    if (this.#phase === 'new') this.#stream.accept();
    this.#phase = 'in';
    this.#send({joined});
    this.#rosters.open();
    this.#read();
  }

  /** The roster may come before the answer of the desk. @param line with its line feed */
  show(line: Buffer): void {
    if (this.#phase !== 'over') this.#rosters.show(line);
  }

  /** Refuses the stream, or tells the reason and then resets it. */
  end(code: StreamCode, message: string): void {
    if (this.#phase === 'over') return;
    const isAccepted = this.#phase !== 'new';
    this.#leave(code, true);
    if (!isAccepted) {
      this.#stream.refuse(code, message);
      return;
    }
    this.#rosters.finish(() => {
      this.#send({ended: {code, message}});
      this.#stream.resetAfterData(code);
    });
    // Its roster may have filled the window.
    if (this.#stream.state !== 'closed')
      this.#endTimer = this.#options.clock.after(LAST_LINE_MS, () => this.#stream.reset(code));
  }

  #leave(code: StreamCode | undefined, isEnded = false): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    for (const timer of [this.#lineTimer, this.#endTimer]) timer?.cancel();
    this.#options.onOver(code, isEnded);
  }

  // ── Lines to the member ──

  /** A short line: the stream keeps what it cannot send. */
  #send(line: NetworkLine): void {
    this.#stream.write(encodeLine(line));
  }

  onWritable(): void {
    this.#rosters.goOn();
  }

  // ── Lines of the member ──

  onData(piece: Buffer): void {
    if (this.#phase === 'over') {
      this.#stream.consumed(piece.length);
      return;
    }
    this.#reader.push(piece);
    this.#read();
  }

  /** Lines beyond the rate wait, and have no credit: so the window limits them. */
  #read(): void {
    const {lines, source, clock} = this.#options;
    try {
      while (this.#phase === 'proving' || this.#phase === 'in') {
        if (!lines.has(source)) {
          this.#lineTimer ??= clock.after(lines.waitMs(source), () => {
            this.#lineTimer = undefined;
            this.#read();
          });
          return;
        }
        const line = this.#reader.next();
        if (line === undefined) return;
        lines.spend(source);
        this.#stream.consumed(line.length + 1);
        this.#onLine(line);
      }
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.end('CANCELLED', error.message);
    }
  }

  #onLine(line: Buffer): void {
    const {member} = this.about;
    if (this.#phase === 'in') {
      const state = member && parseStateLine(line);
      if (state !== undefined) this.#options.onState(state);
      return;
    }
    if (member === undefined || !this.#proves(parseSignature(line), member)) {
      this.end('MEMBER_UNPROVEN', 'The signature is not one of this key for this relay, network and name.');
      return;
    }
    this.#endTimer?.cancel();
    this.#phase = 'joining';
    this.#options.onProved();
  }

  #proves(signature: Buffer, {name, key}: {name: string; key: Buffer}): boolean {
    const {scope, network} = this.about;
    const text = memberText({relay: this.#options.domain, scope, network, name, challenge: this.#challenge});
    try {
      const der = Buffer.concat([SPKI_ED25519, key]);
      return verify(null, text, createPublicKey({key: der, format: 'der', type: 'spki'}), signature);
    } catch {
      // The bytes are no point of the curve.
      return false;
    }
  }

  // ── Ends ──

  /** The end of the stream is the end of the membership. */
  onEnd(): void {
    this.#rosters.close();
    // The desk may not have answered yet, and a stream that was never accepted has no end of its own.
    const isNew = this.#phase === 'new';
    this.#leave(undefined);
    if (isNew) this.#stream.refuse('CANCELLED');
    else this.#stream.end();
  }

  onReset(code: StreamCode): void {
    this.#rosters.close();
    this.#endTimer?.cancel();
    this.#leave(code);
  }
}
