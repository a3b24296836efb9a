// The gate of a private TCP tunnel: a visitor's stream begins with the token of a link, in one line. docs/visitors.md has the
// lines. The upstream is dialled after a right token, and gets the bytes behind it.

import {type Clock, systemClock, type Timer} from '../../../core/clock.js';
import {SharedPlaces} from '../../../core/shared-places.js';
import type {StreamSink} from '../../../mux/stream.js';
import {sourceOf} from '../../../net/source-of.js';
import {readOpening, replyLine, type StreamReply} from '../../../protocol/stream-link.js';
import type {StreamCode} from '../../../protocol/wire.js';
import type {UpstreamVisit} from '../../upstream-join.js';
import type {GuessLimit} from './guess-limit.js';
import type {Link, Links} from './links.js';

/** The limit for the token, ms: it comes with the first bytes. */
const TOKEN_MS = 10_000;
/** The limit for a visitor to read why it is refused, and to leave, ms. */
const LEAVE_MS = 2_000;
/**
 * Visitors without a token yet, or who have to leave. Each keeps a few bytes. When another one comes, the oldest of the address
 * with the most leaves: a token is in the first bytes, so an honest visitor waits for a moment only.
 */
const MAX_WAITING = 256;

export interface StreamGateOptions {
  links: Links;
  guesses: GuessLimit;
  clock?: Clock;
}

export class StreamGate {
  readonly #links: Links;
  readonly #guesses: GuessLimit;
  readonly #clock: Clock;
  readonly #waiting = new SharedPlaces<Arrival>({
    most: MAX_WAITING,
    lead: 0,
    onLost: (arrival) => arrival.cut('TOO_MANY_STREAMS'),
  });

  constructor({links, guesses, clock = systemClock}: StreamGateOptions) {
    this.#links = links;
    this.#guesses = guesses;
    this.#clock = clock;
  }

  /** Calls `enter` when the visitor has shown a right token; otherwise `visit.onDone`. */
  admit(visit: UpstreamVisit, enter: (visit: UpstreamVisit) => void): void {
    const source = sourceOf(visit.visitor?.address ?? '');
    const arrival = new Arrival(visit, {
      clock: this.#clock,
      judge: (token) => this.#judge(visit, token),
      enter: (rest, ended, link) => this.#enter(visit, enter, {rest, ended, link}),
      onOver: () => this.#waiting.leave(source, arrival),
    });
    this.#waiting.enter(source, arrival);
  }

  #judge({visitor}: UpstreamVisit, token: string): Link | StreamReply {
    const link = this.#links.find(token);
    // A right token is never kept out: somebody else may send wrong ones. A secret of 130 bits cannot be guessed.
    if (link === undefined || (link.once && link.used))
      return this.#guesses.take(visitor?.address ?? '') === undefined ? 'LATER' : 'LINK_INVALID';
    link.used = true;
    return link;
  }

  #enter(
    visit: UpstreamVisit,
    enter: (visit: UpstreamVisit) => void,
    {rest, ended, link}: {rest: Buffer; ended: boolean; link: Link},
  ): void {
    const {stream} = visit;
    const arrival = stream.sink;
    const leave = link.onOver(() => {
      stream.reset('CANCELLED');
      stream.sink.onReset('CANCELLED');
    });
    enter({
      ...visit,
      greeting: replyLine('OK'),
      onDone: (...end) => {
        leave();
        visit.onDone(...end);
      },
    });
    // The join has refused the visitor at once.
    if (stream.sink === arrival) return;
    if (rest.length > 0) stream.sink.onData(rest);
    if (ended) stream.sink.onEnd();
  }
}

interface ArrivalOptions {
  clock: Clock;
  judge: (token: string) => Link | StreamReply;
  enter: (rest: Buffer, ended: boolean, link: Link) => void;
  onOver: () => void;
}

/** One visitor until its token is right, or until it has left. */
class Arrival implements StreamSink {
  readonly #visit: UpstreamVisit;
  readonly #options: ArrivalOptions;
  #head: Buffer = Buffer.alloc(0);
  #ended = false;
  #state: 'reading' | 'leaving' | 'over' = 'reading';
  #timer: Timer;

  constructor(visit: UpstreamVisit, options: ArrivalOptions) {
    this.#visit = visit;
    this.#options = options;
    this.#timer = options.clock.after(TOKEN_MS, () => this.cut());
    visit.stream.sink = this;
  }

  onData(piece: Buffer): void {
    const {stream} = this.#visit;
    if (this.#state !== 'reading') {
      stream.consumed(piece.length);
      return;
    }
    this.#head = this.#head.length === 0 ? piece : Buffer.concat([this.#head, piece]);
    this.#read();
  }

  onEnd(): void {
    this.#ended = true;
    if (this.#state === 'leaving') this.cut();
    else this.#read();
  }

  onWritable(): void {}

  onReset(): void {
    if (this.#state === 'over') return;
    const code = this.#state === 'leaving' ? 'CANCELLED' : 'VISITOR_RESET';
    this.#over();
    this.#visit.onDone(code);
  }

  cut(code: StreamCode = 'CANCELLED'): void {
    if (this.#state === 'over') return;
    this.#over();
    this.#visit.stream.reset(code);
    this.#visit.onDone(code);
  }

  #read(): void {
    const opening = readOpening(this.#head);
    if (opening === undefined) {
      // All bytes so far could be the beginning of a token, and no more come.
      if (this.#ended) this.cut();
      return;
    }
    const {stream} = this.#visit;
    const judged = 'token' in opening ? this.#options.judge(opening.token) : opening.reply;
    if (typeof judged === 'string') {
      this.#refuse(judged);
      return;
    }
    const rest = this.#head.subarray(opening.length);
    stream.consumed(opening.length);
    this.#over();
    this.#options.enter(rest, this.#ended, judged);
  }

  /** The visitor reads the reason. A reset could overtake it. */
  #refuse(reply: StreamReply): void {
    const {stream} = this.#visit;
    this.#state = 'leaving';
    stream.consumed(this.#head.length);
    this.#head = Buffer.alloc(0);
    stream.accept();
    stream.write(replyLine(reply));
    stream.end();
    if (this.#ended) {
      this.#over();
      this.#visit.onDone('CANCELLED');
      return;
    }
    this.#timer.cancel();
    this.#timer = this.#options.clock.after(LEAVE_MS, () => this.cut());
  }

  #over(): void {
    this.#state = 'over';
    this.#timer.cancel();
    this.#options.onOver();
  }
}
