// One two-way byte stream of a session: what a visitor's socket is spliced with.

import {FRAME_HEADER, type StreamCode, type StreamKind} from '../protocol/wire.js';
import {BLOCK_BYTES, type Block} from './blocks.js';
import {Crumbs, copyAlone, isCrumb} from './crumbs.js';
import {HEADER_ROOM} from './lane.js';
import {nextState, type StreamEvent, type StreamState} from './stream-state.js';
import {type ReceiveWindow, SendWindow} from './window.js';

/** Where the payload of a block handed to `writeBlock` begins: read straight into `buffer.subarray(PAYLOAD_AT)`. */
export const PAYLOAD_AT = HEADER_ROOM + FRAME_HEADER;
export const PAYLOAD_BYTES = BLOCK_BYTES - PAYLOAD_AT;

/** What the owner of a stream does with its events. Called by the session; must not throw. */
export interface StreamSink {
  /** Bytes in order. The piece is the sink's; `stream.consumed` is due when they are out of memory. */
  onData(piece: Buffer): void;
  /** The peer sends no more. */
  onEnd(): void;
  /** `write` may go on after it or `mayBegin` returned false, or after `onHold`. */
  onWritable(): void;
  /** No more of the source should be read until `onWritable`. A sink without it bounds what it writes by itself. */
  onHold?(): void;
  /** The peer took the stream that this side opened. */
  onOpened?(): void;
  /** The stream is dead in both directions: reset, refused (`message` may say more), or its session is over. The last event. */
  onReset(code: StreamCode, message?: string): void;
  /** Both directions have ended in order. The last event. */
  onClosed?(): void;
}

/** What a stream needs of its session. */
export interface StreamHost {
  sendData(stream: Stream, chunk: Buffer): void;
  adoptBlock(stream: Stream, block: Block, end: number): void;
  sendFin(stream: Stream): void;
  /** Behind the stream's data that has not left yet. */
  sendLastReset(stream: Stream, code: StreamCode): void;
  sendOpened(stream: Stream): void;
  sendRefused(stream: Stream, code: StreamCode, message: string | undefined): void;
  sendReset(stream: Stream, code: StreamCode): void;
  sendCredit(stream: Stream, bytes: number): void;
  /** Whether this stream may go on writing now. */
  mayWrite(stream: Stream): boolean;
  /** `stream.wake()` is due when it may. */
  await(stream: Stream): void;
  /** The stream is dead: what waits of it need not be sent. */
  drop(stream: Stream): void;
  forget(stream: Stream): void;
  readonly linked: boolean;
  now(): number;
  growWithinMs(): number;
  /** Runs `fn` when the current input has been worked off. */
  soon(fn: () => void): void;
}

/** With so many pieces unread crumbs are gathered, for a turn at the most. */
const MANY_PIECES = 64;
/** With so many they wait until the owner has read something: pieces themselves cost memory. */
const TOO_MANY_PIECES = 1_024;

const NO_SINK: StreamSink = {onData: () => {}, onEnd: () => {}, onWritable: () => {}, onReset: () => {}};

export class Stream {
  readonly id: number;
  readonly kind: StreamKind;
  sink: StreamSink = NO_SINK;
  /** Called once when the stream has ended, whichever side ended it: for those that only count it. */
  onGone: (() => void) | undefined;
  /** Payload bytes received and sent so far. */
  bytesIn = 0;
  bytesOut = 0;

  /** @internal bookkeeping of the session's lanes. */
  bulkMark = 0;
  /** @internal */
  lull = -1;
  /** @internal */
  urgentBytes = 0;

  readonly #host: StreamHost;
  readonly #sendWindow = new SendWindow();
  readonly #receiveWindow: ReceiveWindow;
  #state: StreamState;
  /** Bytes that the owner wrote and the window did not take yet; at most what one read gave. */
  #held: Buffer[] = [];
  #finHeld = false;
  #resetHeld: StreamCode | undefined;
  #asleep = false;
  /** Pieces handed on since all was read. */
  #pieces = 0;
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

  /** Whether the peer may still send data. */
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

  /** Whether bytes can move at all now. */
  get linked(): boolean {
    return this.#host.linked;
  }

  /** Whether the source may be read for the first time. False: not before `onWritable`. */
  mayBegin(): boolean {
    return this.#goOn();
  }

  /** Copies and sends. False: stop reading the source until `onWritable`; what was written is not lost. */
  write(chunk: Buffer): boolean {
    if (!this.#maySend) return false;
    if (chunk.length === 0) return true;
    this.bytesOut += chunk.length;
    const sent = this.#held.length === 0 ? this.#sendUpToWindow(chunk) : 0;
    // A copy: the caller may use its buffer again as soon as this returned.
    if (sent < chunk.length) this.#held.push(Buffer.from(chunk.subarray(sent)));
    return this.#goOn();
  }

  /**
   * Sends `length` bytes that stand at PAYLOAD_AT of a block, without copying them. The block is the session's from
   * now on, whatever is returned. Same answer as `write`.
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

  /** No more data from this side. The other direction goes on. */
  end(): void {
    if (this.#finHeld || nextState(this.#state, 'sendFin') === undefined) return;
    if (this.#held.length > 0) {
      this.#finHeld = true;
      return;
    }
    this.#host.sendFin(this);
    this.#move('sendFin');
  }

  /** Dead in both directions, now; the peer is told, this side's sink is not. */
  reset(code: StreamCode): void {
    if (this.#state === 'closed') return;
    this.#host.sendReset(this, code);
    this.#die();
  }

  /**
   * Dead in both directions as well, but the peer gets all that was written first. The sink hears `onReset` when the
   * reset has been sent, or of what ends the stream before.
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

  /** Takes the stream that the peer opened. */
  accept(): void {
    if (nextState(this.#state, 'sendOpened') === undefined) return;
    this.#host.sendOpened(this);
    this.#move('sendOpened');
  }

  /** Does not take it. `message` says why to people. */
  refuse(code: StreamCode, message?: string): void {
    if (nextState(this.#state, 'sendRefused') === undefined) {
      this.reset(code);
      return;
    }
    this.#host.sendRefused(this, code, message);
    this.#die();
  }

  /** `bytes` of what `onData` gave are out of memory. Credit follows. */
  consumed(bytes: number): void {
    if (!this.mayReceive) {
      this.#receiveWindow.drain(bytes);
      return;
    }
    const credit = this.#receiveWindow.consume(bytes, this.#host.now(), this.#host.growWithinMs());
    if (credit > 0) this.#host.sendCredit(this, credit);
    const crumbs = this.#crumbs;
    if (this.#receiveWindow.unread <= (crumbs?.bytes ?? 0)) this.#pieces = 0;
    crumbs?.flush();
  }

  /** @internal False: a violation. */
  receiveDataStart(length: number): boolean {
    return this.mayReceive && this.#receiveWindow.receive(length);
  }

  /** @internal Whether there is memory for what is coming; without, the stream is reset. */
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
          if (this.#state !== 'closed') this.sink.onData(gathered);
        },
      );
      this.#crumbs.add(piece, this.#pieces <= TOO_MANY_PIECES);
      return;
    }
    if (this.#crumbs !== undefined) this.#crumbs.flush();
    // One that waits behind others would keep its whole chunk in memory for as long as they do.
    this.sink.onData(this.#pieces > 1 && isCrumb(piece) ? copyAlone(piece) : piece);
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
    // They came before the end, and before a reset.
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

  /** @internal The source has to stop, and goes on when it is its turn. */
  hold(): void {
    if (this.#asleep || this.sink.onHold === undefined) return;
    if (!this.#maySend) return;
    this.sink.onHold();
    this.#goToSleep();
  }

  /** @internal There may be room again: sends what is held, then lets the source go on. */
  wake(): void {
    if (this.#state === 'closed' || (!this.#asleep && this.#held.length === 0)) return;
    while (this.#held.length > 0 && this.#sendWindow.available > 0) {
      if (!this.#host.mayWrite(this)) {
        this.#host.await(this);
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
      this.#host.await(this);
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

  /** Returns how much the window took. */
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
    // With credit left it is the session that has no room; without, the peer's next credit wakes this stream.
    if (this.#sendWindow.available > 0) this.#host.await(this);
  }

  /** This side did something that may have been the last thing. */
  #move(event: StreamEvent): void {
    const next = nextState(this.#state, event);
    if (next === undefined) return;
    this.#state = next;
    if (next !== 'closed') return;
    this.#forget();
    this.sink.onClosed?.();
  }

  /** What was written and has not left is of no use to anybody. */
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
