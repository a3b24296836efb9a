// Joins two streams of two sessions. Bytes, credit, half-closes, resets, refusals and their messages pass through.

import type {Stream, StreamSink} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';
import {Lane, type Rate} from './pace.js';
import {BROKEN} from './splice.js';
import type {UnreadHolder} from './unread-limit.js';

/** Pieces from this size on wait for the others of their turn: they leave in fewer and larger writes. */
const GATHER_FROM_BYTES = 8 * 1024;

/** The last bytes of a connection that broke may make no progress for this long, ms. */
const LAST_BYTES_MS = 10_000;

export interface StreamJoinOptions {
  /** The stream that a peer has opened here. It is accepted or refused as the other one is. */
  from: Stream;
  /** The code for `from` when the session of the other stream ends before the answer. */
  absentCode: StreamCode;
}

/**
 * A stream gets credit when its bytes are in the queue of the other session, and that queue is limited: so a reader that stops
 * stops the writer at the other end, and at most one window waits here. Pieces are written as they came, without a copy of
 * their own.
 */
export class StreamJoin {
  readonly #from: Side;
  #to: Side | undefined;
  readonly #options: StreamJoinOptions;
  #isAnswered = false;
  #isOver = false;
  readonly #onAnswered: (() => void)[] = [];
  readonly #onOver: (() => void)[] = [];

  /** The sink of `from` is the join from now on. Its bytes wait for `connect`. */
  constructor(options: StreamJoinOptions) {
    this.#options = options;
    this.#from = new Side(options.from, {
      onReset: (code) => this.#onReset(this.#from, code === 'SESSION_ENDED' ? 'VISITOR_RESET' : code),
      onMoved: () => this.#look(),
    });
  }

  /** Both streams have ended. */
  get over(): boolean {
    return this.#isOver;
  }

  /** The bytes that have come, in both directions. */
  get bytes(): {fromOpener: number; toOpener: number} {
    return {fromOpener: this.#from.stream.bytesIn, toOpener: this.#to?.stream.bytesIn ?? 0};
  }

  /** Calls `listener` once, when the other side has accepted or the end has come. */
  onAnswered(listener: () => void): void {
    if (this.#isAnswered || this.#isOver) listener();
    else this.#onAnswered.push(listener);
  }

  /** Calls `listener` once, when both streams have ended. */
  onOver(listener: () => void): void {
    if (this.#isOver) listener();
    else this.#onOver.push(listener);
  }

  /**
   * Joins with the stream that this side has opened for it.
   *
   * @param rates bytes of both directions wait for their turn when one of these limits is reached
   */
  connect(to: Stream, rates: readonly Rate[] = []): void {
    if (this.#isOver) {
      to.reset('CANCELLED');
      return;
    }
    const from = this.#from;
    const side: Side = new Side(to, {
      onOpened: () => {
        this.#answered();
        from.stream.accept();
        from.begin();
      },
      onReset: (code, message) => {
        const ended = this.#isAnswered ? 'UPSTREAM_RESET' : this.#options.absentCode;
        this.#onReset(side, code === 'SESSION_ENDED' ? ended : code, message);
      },
      onMoved: () => this.#look(),
    });
    this.#to = side;
    side.other = from;
    from.other = side;
    if (rates.length > 0) for (const each of [from, side]) each.pace(rates);
    side.begin();
    from.pump();
  }

  /** Ends both streams, now. A stream that is not accepted yet is refused. */
  cut(code: StreamCode, message?: string): void {
    if (this.#isOver) return;
    this.#to?.stream.reset(code);
    this.#from.stream.refuse(code, message);
    this.#finish();
  }

  /**
   * The unread bytes of each direction, in a holder of its own: a direction that moves must not hide one that stands still.
   *
   * @param of `both`, or `to` when something else counts those of `from` while its stream lives
   */
  unread(of: 'both' | 'to'): UnreadHolder[] {
    const isFromHere = () => of === 'both' || this.#from.stream.state === 'closed';
    return [this.#holder(() => (isFromHere() ? this.#from : undefined)), this.#holder(() => this.#to)];
  }

  #holder(side: () => Side | undefined): UnreadHolder {
    return {
      stream: {
        get bytesIn() {
          return side()?.stream.bytesIn ?? 0;
        },
        get unreadBytes() {
          return side()?.waitingBytes ?? 0;
        },
        get bytesOut() {
          return side()?.stream.bytesOut ?? 0;
        },
        get heldBytes() {
          return side()?.stream.heldBytes ?? 0;
        },
      },
      cut: () => this.cut('TOO_MUCH_UNREAD'),
    };
  }

  /** `side` is dead, and the other one follows. */
  #onReset(side: Side, code: StreamCode, message?: string): void {
    const {other} = side;
    if (this.#isOver) return;
    // Whoever is still there gets everything that came before the connection broke.
    if (other !== undefined && this.#isAnswered && BROKEN.includes(code) && other.stream.state !== 'closed') {
      side.breakAfterData(code);
      return;
    }
    if (side === this.#from) this.#to?.stream.reset(code);
    else this.#from.stream.refuse(code, message);
    this.#finish();
  }

  #look(): void {
    const isClosed = (side: Side | undefined) => side?.stream.state === 'closed' && !side.owes;
    if (isClosed(this.#from) && isClosed(this.#to)) this.#finish();
  }

  #answered(): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    for (const listener of this.#onAnswered.splice(0)) listener();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#from.free();
    this.#to?.free();
    for (const listener of [...this.#onAnswered.splice(0), ...this.#onOver.splice(0)]) listener();
  }
}

interface SideEvents {
  onOpened?: () => void;
  onReset: (code: StreamCode, message?: string) => void;
  /** The stream may have ended, or has nothing more to pass on. */
  onMoved: () => void;
}

/** One of the two streams: takes its bytes and passes them to the other one. */
class Side implements StreamSink {
  readonly stream: Stream;
  other: Side | undefined;
  /** The reset that follows after the last bytes. */
  brokeWith: StreamCode | undefined;
  readonly #events: SideEvents;
  /** Bytes that the other stream has not taken. They have no credit yet, so the window limits them. */
  #waiting: Buffer[] = [];
  waitingBytes = 0;
  /** Whether the stream takes bytes. */
  #go = false;
  #hasEnded = false;
  /** `pump` comes at the end of this turn. */
  #isGathering = false;
  #timer: NodeJS.Timeout | undefined;
  /** Undefined: no limit of bandwidth. */
  #lane: Lane | undefined;

  constructor(stream: Stream, events: SideEvents) {
    this.stream = stream;
    this.#events = events;
    stream.sink = this;
  }

  /** Asks whether this stream takes bytes now. */
  begin(): void {
    this.#go = this.stream.mayBegin();
  }

  /** Its bytes wait for their turn when a limit is reached. They get no credit meanwhile. */
  pace(rates: readonly Rate[]): void {
    this.#lane = new Lane(rates, () => this.pump(true));
  }

  /** It has something to pass on before the other stream may count as closed. */
  get owes(): boolean {
    return this.waitingBytes > 0;
  }

  /** Passes on what waits, as far as the other stream takes it. @param isTurn the limits of bandwidth have given it a turn */
  pump(isTurn = false): void {
    const {other} = this;
    const lane = this.#lane;
    if (other === undefined) return;
    while (this.#waiting.length > 0 && other.#go) {
      if (lane !== undefined && !(isTurn ? lane.mayGoOn : lane.free)) {
        lane.ask();
        return;
      }
      const piece = this.#waiting[0] as Buffer;
      const taken = other.#take(piece);
      this.waitingBytes -= taken;
      if (taken === piece.length) this.#waiting.shift();
      else this.#waiting[0] = piece.subarray(taken);
      lane?.spend(taken);
      // Last: this can bring the next piece.
      if (taken > 0) this.stream.consumed(taken);
    }
    if (this.#waiting.length > 0) return;
    if (this.#hasEnded) other.stream.end();
    if (this.brokeWith !== undefined) this.#break(this.brokeWith);
    else if (this.#hasEnded) this.#events.onMoved();
  }

  /** Writes as much as the window has room for: the stream would keep a copy of the rest. Returns the bytes taken. */
  #take(piece: Buffer): number {
    const {stream} = this;
    const room = stream.sendRoom;
    if (piece.length <= room) {
      this.#go = stream.write(piece);
      return piece.length;
    }
    if (room > 0) stream.write(piece.subarray(0, room));
    this.#go = stream.mayBegin();
    return room;
  }

  /** The other stream gets what came before, then the reset. */
  breakAfterData(code: StreamCode): void {
    this.brokeWith = code;
    this.pump();
    if (!this.owes) return;
    let before = this.waitingBytes;
    this.#timer = setInterval(() => {
      const {other} = this;
      const isPaced = this.#lane?.waits === true;
      if (this.waitingBytes === before && !isPaced && other?.stream.linked) this.#break(code);
      before = this.waitingBytes;
    }, LAST_BYTES_MS).unref();
  }

  #break(code: StreamCode): void {
    this.free();
    this.other?.stream.resetAfterData(code);
    this.#events.onMoved();
  }

  free(): void {
    clearInterval(this.#timer);
    this.#lane?.end();
    this.#waiting = [];
    this.waitingBytes = 0;
  }

  readonly #gathered = (): void => {
    this.#isGathering = false;
    if (this.owes) this.pump();
  };

  // ── From the stream ──

  onData(piece: Buffer): void {
    const {other} = this;
    if (other !== undefined && other.stream.state === 'closed') {
      // Nobody wants the bytes any more, but their credit must go back for the session.
      this.stream.consumed(piece.length);
      return;
    }
    this.#waiting.push(piece);
    this.waitingBytes += piece.length;
    if (this.#isGathering) return;
    const isTaken = other === undefined ? false : other.#go;
    if (piece.length < GATHER_FROM_BYTES) {
      if (this.#waiting.length === 1) this.pump();
    } else if (isTaken) {
      this.#isGathering = true;
      setImmediate(this.#gathered);
    }
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (!this.owes) this.pump();
  }

  onWritable(): void {
    this.#go = true;
    this.other?.pump();
  }

  onHold(): void {
    this.#go = false;
  }

  onOpened(): void {
    this.#events.onOpened?.();
  }

  onReset(code: StreamCode, message?: string): void {
    this.#events.onReset(code, message);
    this.#events.onMoved();
  }

  onClosed(): void {
    this.#events.onMoved();
  }
}
