// One two-way byte stream of a session: each visitor's socket is spliced with one.

import {FRAME_HEADER, type StreamCode, type StreamKind} from '../protocol/wire.js';
import {BLOCK_BYTES, type Block} from './blocks.js';
import {Crumbs, copyAlone, isCrumb} from './crumbs.js';
import {HEADER_ROOM} from './lane.js';
import {nextState, type StreamEvent, type StreamState} from './stream-state.js';
import {type ReceiveWindow, SendWindow} from './window.js';

/** The start of the payload in a block for `writeBlock`: read into `buffer.subarray(PAYLOAD_AT)`. */
export const PAYLOAD_AT = HEADER_ROOM + FRAME_HEADER;
export const PAYLOAD_BYTES = BLOCK_BYTES - PAYLOAD_AT;

/** The events of a stream for its owner. The session calls them; they must not throw. */
export interface StreamSink {
  /** Bytes in order. The sink owns the piece, and must call `stream.consumed` when the bytes are out of memory. */
  onData(piece: Buffer): void;
  /** The peer has ended its direction. */
  onEnd(): void;
  /** Writing may continue after `write` or `mayBegin` returned false, or after `onHold`. */
  onWritable(): void;
  /** The source should not be read until `onWritable`. A sink without this method must limit its writes itself. */
  onHold?(): void;
  /** The peer accepted the stream that this side opened. */
  onOpened?(): void;
  /** The last event: the stream was reset or refused (`message` may say more), or its session is over. */
  onReset(code: StreamCode, message?: string): void;
  /** The last event: both directions have ended in order. */
  onClosed?(): void;
  /** True while the sink has bytes of the stream in memory, or may have some, also when the stream is over. */
  readonly keepsBytes?: boolean;
}

/** The session's methods for a stream. */
export interface StreamHost {
  sendData(stream: Stream, chunk: Buffer): void;
  adoptBlock(stream: Stream, block: Block, end: number): void;
  sendFin(stream: Stream): void;
  /** The reset waits behind data of the stream that was not sent yet. */
  sendLastReset(stream: Stream, code: StreamCode): void;
  sendOpened(stream: Stream): void;
  sendRefused(stream: Stream, code: StreamCode, message: string | undefined): void;
  sendReset(stream: Stream, code: StreamCode): void;
  sendCredit(stream: Stream, bytes: number): void;
  /** True when this stream may write now. */
  mayWrite(stream: Stream): boolean;
  /** Asks for a call of `stream.wake()` when the stream may write again. */
  wakeLater(stream: Stream): void;
  /** The stream is dead: its waiting frames need not be sent. */
  drop(stream: Stream): void;
  forget(stream: Stream): void;
  readonly linked: boolean;
  now(): number;
  growWithinMs(): number;
  /** Runs `fn` when the current input has been processed. */
  soon(fn: () => void): void;
}

/** From this many unread pieces on, crumbs are gathered, for at most one turn. */
const MANY_PIECES = 64;
/** From this many on, crumbs wait until the owner has read something, because each piece costs memory. */
const TOO_MANY_PIECES = 1_024;

const NO_SINK: StreamSink = {onData: () => {}, onEnd: () => {}, onWritable: () => {}, onReset: () => {}};

export class Stream {
  readonly id: number;
  readonly kind: StreamKind;
  sink: StreamSink = NO_SINK;
  /** Called once when the stream has ended, by either side. For code that only counts streams. */
  onGone: (() => void) | undefined;
  /** It belongs to no visitor: it only shows that a visitor's stream would arrive. */
  isProbe = false;
  /** Payload bytes received and sent so far. */
  bytesIn = 0;
  bytesOut = 0;

  /** @internal state of the session's lanes. */
  bulkMark = 0;
  /** @internal */
  lull = -1;
  /** @internal */
  urgentBytes = 0;

  readonly #host: StreamHost;
  readonly #sendWindow = new SendWindow();
  readonly #receiveWindow: ReceiveWindow;
  #state: StreamState;
  /** Bytes that the owner wrote and the window has not accepted; at most one read of the source. */
  #held: Buffer[] = [];
  #finHeld = false;
  #resetHeld: StreamCode | undefined;
  #asleep = false;
  /** The number of pieces that came since the owner had consumed everything that it got. */
  #pieces = 0;
  /** Bytes that the owner got and has not consumed. */
  #given = 0;
  #crumbs: Crumbs | undefined;

  constructor(
    host: StreamHost,
    id: number,
    kind: StreamKind,
    state: 'opening' | 'offered',
    window: ReceiveWindow,
  ) {
    this.#host = host;
    this.id = id;
    this.kind = kind;
    this.#state = state;
    this.#receiveWindow = window;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** True while the peer may send data. */
  get mayReceive(): boolean {
    return nextState(this.#state, 'receiveData') !== undefined;
  }

  /** Bytes received and not consumed. */
  get unreadBytes(): number {
    return this.#receiveWindow.unread;
  }

  get receiveWindowBytes(): number {
    return this.#receiveWindow.size;
  }

  /** Bytes that were written here and wait for the peer's credit. */
  get heldBytes(): number {
    return this.#held.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Bytes that `write` sends without keeping a copy. */
  get sendRoom(): number {
    return this.#held.length > 0 ? 0 : this.#sendWindow.available;
  }

  /** True while the session has a link. */
  get linked(): boolean {
    return this.#host.linked;
  }

  /** Asks before the first read of the source. A caller that gets false must wait for `onWritable`. */
  mayBegin(): boolean {
    return this.#goOn();
  }

  /** Copies and sends. A caller that gets false must not read the source until `onWritable`; the written bytes are kept. */
  write(chunk: Buffer): boolean {
    if (!this.#maySend) return false;
    if (chunk.length === 0) return true;
    this.bytesOut += chunk.length;
    const sent = this.#held.length === 0 ? this.#sendUpToWindow(chunk) : 0;
    // The bytes are copied, because the caller may reuse its buffer after this call.
    if (sent < chunk.length) this.#held.push(Buffer.from(chunk.subarray(sent)));
    return this.#goOn();
  }

  /**
   * Sends `length` bytes at PAYLOAD_AT of a block, without a copy. The session owns the block after this call in every
   * case. Returns the same as `write`.
   */
  writeBlock(block: Block, length: number): boolean {
    if (!this.#maySend || length === 0 || this.#held.length > 0 || length > this.#sendWindow.available) {
      const go = this.write(block.buffer.subarray(PAYLOAD_AT, PAYLOAD_AT + length));
      block.release();
      return go;
    }
    this.bytesOut += length;
    this.#sendWindow.spend(length);
    this.#host.adoptBlock(this, block, PAYLOAD_AT + length);
    return this.#goOn();
  }

  /** Ends this side's direction. The other direction continues. */
  end(): void {
    if (this.#finHeld || nextState(this.#state, 'sendFin') === undefined) return;
    if (this.#held.length > 0) {
      this.#finHeld = true;
      return;
    }
    this.#host.sendFin(this);
    this.#move('sendFin');
  }

  /** Resets both directions now. The peer is told; the sink of this side is not. */
  reset(code: StreamCode): void {
    if (this.#state === 'closed') return;
    this.#host.sendReset(this, code);
    this.#die();
  }

  /**
   * Resets both directions, but the peer first gets everything that was written. The sink gets `onReset` when the reset
   * was sent or when something else ends the stream earlier.
   */
  resetAfterData(code: StreamCode): void {
    if (this.#state === 'closed') return;
    if (this.#held.length > 0) {
      this.#resetHeld = code;
      return;
    }
    this.#host.sendLastReset(this, code);
    this.#forgetAll();
    this.sink.onReset(code);
  }

  /** Accepts the stream that the peer opened. */
  accept(): void {
    if (nextState(this.#state, 'sendOpened') === undefined) return;
    this.#host.sendOpened(this);
    this.#move('sendOpened');
  }

  /** Refuses the stream that the peer opened. `message` tells people why. */
  refuse(code: StreamCode, message?: string): void {
    if (nextState(this.#state, 'sendRefused') === undefined) {
      this.reset(code);
      return;
    }
    this.#host.sendRefused(this, code, message);
    this.#die();
  }

  /** `bytes` that `onData` got are out of memory; the peer gets credit for them. */
  consumed(bytes: number): void {
    this.#given -= bytes;
    if (!this.mayReceive) {
      this.#receiveWindow.drain(bytes);
      return;
    }
    const credit = this.#receiveWindow.consume(bytes, this.#host.now(), this.#host.growWithinMs());
    if (credit > 0) this.#host.sendCredit(this, credit);
    if (this.#given === 0) this.#pieces = 0;
    this.#crumbs?.flush();
  }

  /** @internal False: a violation. */
  receiveDataStart(length: number): boolean {
    return this.mayReceive && this.#receiveWindow.receive(length);
  }

  /** @internal True when there is memory for the next data; otherwise the stream is reset. */
  makeRoom(): boolean {
    if (this.#receiveWindow.fits) return true;
    this.reset('TOO_MUCH_UNREAD');
    this.sink.onReset('TOO_MUCH_UNREAD');
    return false;
  }

  /** @internal */
  receiveData(piece: Buffer): void {
    if (this.#state === 'closed') return;
    this.bytesIn += piece.length;
    this.#pieces += 1;
    if (this.#pieces > MANY_PIECES && isCrumb(piece)) {
      this.#crumbs ??= new Crumbs(
        (fn) => this.#host.soon(fn),
        (gathered) => {
          if (this.#state !== 'closed') this.#give(gathered);
        },
      );
      // An owner with nothing to consume would never ask for them.
      this.#crumbs.add(piece, this.#pieces <= TOO_MANY_PIECES || this.#given === 0);
      return;
    }
    if (this.#crumbs !== undefined) this.#crumbs.flush();
    // A small piece that waits behind others would keep its whole chunk in memory meanwhile.
    this.#give(this.#pieces > 1 && isCrumb(piece) ? copyAlone(piece) : piece);
  }

  #give(piece: Buffer): void {
    this.#given += piece.length;
    this.sink.onData(piece);
  }

  /** @internal False: a violation. */
  receiveCredit(bytes: number): boolean {
    if (!this.#sendWindow.grant(bytes)) return false;
    this.wake();
    return true;
  }

  /** @internal False: a violation. */
  receive(
    event: 'receiveOpened' | 'receiveRefused' | 'receiveFin' | 'receiveReset',
    code: StreamCode,
    message?: string,
  ): boolean {
    // The gathered bytes came before the end or the reset.
    if (event !== 'receiveOpened' && this.#crumbs !== undefined) {
      this.#crumbs.flush();
      if (this.#state === 'closed') return true;
    }
    const next = nextState(this.#state, event);
    if (next === undefined) return false;
    if (event === 'receiveRefused' || event === 'receiveReset') {
      this.#die();
      this.sink.onReset(code, message);
      return true;
    }
    this.#state = next;
    if (event === 'receiveOpened') {
      this.sink.onOpened?.();
      return true;
    }
    const closed = next === 'closed';
    if (closed) this.#forget();
    this.sink.onEnd();
    if (closed) this.sink.onClosed?.();
    return true;
  }

  /** @internal The session is over. */
  abandon(code: StreamCode): void {
    if (this.#state === 'closed') return;
    this.#die();
    this.sink.onReset(code);
  }

  /** @internal The source must stop; it continues when it is its turn. */
  hold(): void {
    if (this.#asleep || this.sink.onHold === undefined) return;
    if (!this.#maySend) return;
    this.sink.onHold();
    this.#goToSleep();
  }

  /** @internal There may be room again: sends the held bytes, then lets the source continue. */
  wake(): void {
    if (this.#state === 'closed' || (!this.#asleep && this.#held.length === 0)) return;
    while (this.#held.length > 0 && this.#sendWindow.available > 0) {
      if (!this.#host.mayWrite(this)) {
        this.#host.wakeLater(this);
        return;
      }
      const first = this.#held[0] as Buffer;
      const sent = this.#sendUpToWindow(first);
      if (sent < first.length) this.#held[0] = first.subarray(sent);
      else this.#held.shift();
    }
    if (this.#held.length > 0) return;
    // An end needs no window.
    if (this.#finHeld) {
      this.#finHeld = false;
      this.#asleep = false;
      this.#host.sendFin(this);
      this.#move('sendFin');
      if (this.#resetHeld === undefined) return;
    }
    if (this.#resetHeld !== undefined) {
      this.resetAfterData(this.#resetHeld);
      return;
    }
    if (this.#sendWindow.available === 0) return;
    if (!this.#host.mayWrite(this)) {
      this.#host.wakeLater(this);
      return;
    }
    this.#asleep = false;
    this.sink.onWritable();
  }

  get #maySend(): boolean {
    return (
      !this.#finHeld && this.#resetHeld === undefined && nextState(this.#state, 'sendData') !== undefined
    );
  }

  /** Returns how many bytes the window accepted. */
  #sendUpToWindow(chunk: Buffer): number {
    const now = Math.min(chunk.length, this.#sendWindow.available);
    if (now === 0) return 0;
    this.#sendWindow.spend(now);
    this.#host.sendData(this, now === chunk.length ? chunk : chunk.subarray(0, now));
    return now;
  }

  #goOn(): boolean {
    if (this.#held.length === 0 && this.#sendWindow.available > 0 && this.#host.mayWrite(this)) return true;
    this.#goToSleep();
    return false;
  }

  #goToSleep(): void {
    this.#asleep = true;
    // With credit left, the session has no room. Without credit, the peer's next credit wakes this stream.
    if (this.#sendWindow.available > 0) this.#host.wakeLater(this);
  }

  /** Applies an event of this side, which may be the last one of the stream. */
  #move(event: StreamEvent): void {
    const next = nextState(this.#state, event);
    if (next === undefined) return;
    this.#state = next;
    if (next !== 'closed') return;
    this.#forget();
    this.sink.onClosed?.();
  }

  /** Discards the bytes that were written and not sent. */
  #die(): void {
    this.#forgetAll();
    this.#host.drop(this);
  }

  #forgetAll(): void {
    this.#state = 'closed';
    this.#held = [];
    this.#crumbs = undefined;
    this.#forget();
  }

  #forget(): void {
    this.#receiveWindow.release();
    this.#host.forget(this);
    this.onGone?.();
    this.onGone = undefined;
  }
}
