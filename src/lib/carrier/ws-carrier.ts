// A WebSocket on an upgraded socket as a session's carrier: every byte between agent and relay passes here.

import type {Socket} from 'node:net';
import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {errorForPeer, TunlError, toTunlError} from '../core/errors.js';
import type {Carrier, CarrierSink} from '../mux/carrier.js';
import {exportKey} from './export-key.js';
import {LinkReads} from './link-reads.js';
import {SendQueue} from './send-queue.js';
import {
  CLOSE,
  closeFrame,
  controlFrame,
  headroomOf,
  OPCODE,
  type Role,
  type Violation,
  writeDataHeader,
} from './ws-frames.js';
import {WsReader} from './ws-reader.js';

/** Options for the code that creates a carrier. */
export interface CarrierTuning {
  /** Default: `wss` and the peer's address. */
  label?: string;
  /** The host that was dialled, as in its certificate. */
  peerHost?: string;
  /** `write` returns false when this much or more waits. Default 512 KiB. */
  highWaterBytes?: number;
  clock?: Clock;
}

export interface WebSocketCarrierOptions extends CarrierTuning {
  /** The socket after the upgrade: all later bytes are WebSocket frames. The carrier owns it from now on. */
  socket: Socket;
  role: Role;
  /** Bytes that arrived together with the upgrade. */
  head?: Buffer;
}

const HIGH_WATER_BYTES = 512 * 1024;
/** How long an orderly end may make no progress before it becomes a destroy, ms. */
const CLOSE_TIMEOUT_MS = 5_000;
/** A peer that broke the protocol gets this long to take the close frame. */
const VIOLATION_TIMEOUT_MS = 1_000;

/**
 * `open` → `ending` (our close frame is queued: end(), the peer's close, a violation) → `closed` (the socket is gone).
 * `destroy` leads to `closed` from anywhere.
 */
type Phase = 'open' | 'ending' | 'closed';

export class WebSocketCarrier implements Carrier {
  readonly label: string;
  readonly peerHost?: string;
  readonly headroom: number;
  readonly #socket: Socket;
  readonly #role: Role;
  readonly #clock: Clock;
  readonly #highWaterBytes: number;
  readonly #queue: SendQueue;
  readonly #reads: LinkReads;
  readonly #reader: WsReader;
  #sink: CarrierSink | undefined;
  #head: Buffer | undefined;
  #phase: Phase = 'open';
  /** The argument for `onClose`. */
  #error: Error | undefined;
  /** This side asked for the end, or both sides agreed: the socket closes without an error. */
  #orderly = false;
  #closeSent = false;
  #peerClosed = false;
  #destroyed = false;
  /** `onDrain` is called when no more than this waits; undefined while `write` has not returned false. */
  #drainAt: number | undefined;
  #pongUnderWay = false;
  #nextPong: Buffer | undefined;
  #timer: Timer | undefined;

  constructor(options: WebSocketCarrierOptions) {
    const {socket, role} = options;
    this.#socket = socket;
    this.#role = role;
    this.#clock = options.clock ?? systemClock;
    this.#highWaterBytes = options.highWaterBytes ?? HIGH_WATER_BYTES;
    this.#head = options.head;
    this.label = options.label ?? `wss ${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`;
    if (options.peerHost !== undefined) this.peerHost = options.peerHost;
    this.headroom = headroomOf(role);
    this.#queue = new SendQueue(socket, () => this.#progress());
    this.#reads = new LinkReads(socket, {
      onBytes: (bytes) => this.#onData(bytes),
      onEnd: () => this.#onEnd(),
    });
    this.#reader = new WsReader({
      role,
      now: () => this.#clock.now(),
      events: {
        onPayload: (piece) => this.#sink?.onData(piece),
        onPing: (payload) => this.#answerPing(payload),
        onPong: () => {},
        onClose: (code, reason) => this.#peerClose(code, reason),
        onViolation: (violation) => this.#violation(violation),
      },
    });
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    if (socket.closed) process.nextTick(this.#onClose);
  }

  get bufferedBytes(): number {
    return this.#queue.bytes;
  }

  start(sink: CarrierSink): void {
    process.nextTick(() => {
      this.#sink = sink;
      if (this.#phase === 'closed') return sink.onClose(this.#error);
      const head = this.#head;
      this.#head = undefined;
      if (head !== undefined) this.#onData(head);
      this.#reads.start();
    });
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    if (start < this.headroom) throw new RangeError(`a block starts at ${start}, in the headroom`);
    if (this.#phase !== 'open' || end <= start) {
      if (onWritten !== undefined) process.nextTick(onWritten);
      return this.#phase === 'open';
    }
    const from = writeDataHeader(this.#role, block, start, end - start);
    this.#queue.push(block.subarray(from, end), onWritten);
    const waiting = this.#queue.bytes;
    if (waiting < this.#highWaterBytes) return true;
    this.#drainAt = waiting / 2;
    return false;
  }

  pause(): void {
    this.#reads.pause();
  }

  resume(): void {
    this.#reads.resume();
  }

  end(): void {
    if (this.#phase !== 'open') return;
    // Its close frame must come next.
    this.resume();
    this.#orderly = true;
    this.#sendClose(CLOSE.normal);
    this.#limit(CLOSE_TIMEOUT_MS);
  }

  destroy(error?: Error): void {
    if (this.#phase === 'closed' || this.#destroyed) return;
    this.#destroyed = true;
    this.#phase = 'ending';
    this.#error = error;
    this.#orderly = error === undefined;
    this.#reader.stop();
    this.#socket.destroy();
  }

  /** @throws Error when the TLS is older than 1.3, or gone. */
  exportKey(label: string, bytes: number): Buffer | undefined {
    return exportKey(this.#socket, label, bytes);
  }

  // Events of the socket. Nothing here may throw: that would end the process.

  #onData(chunk: Buffer): void {
    try {
      this.#reader.feed(chunk);
    } catch (error) {
      this.destroy(toTunlError(error));
    }
  }

  /** The socket's FIN. Before a close frame it means that the link broke; after one it is the expected answer. */
  #onEnd(): void {
    if (this.#peerClosed) this.#socket.end();
    else if (!this.#destroyed) this.destroy(this.#error ?? lost('the peer closed the link without a reason'));
  }

  readonly #onError = (error: Error): void => {
    const over = this.#orderly && this.#closeSent && this.#peerClosed;
    if (!this.#destroyed && !over) this.#error ??= lost(`the link broke: ${error.message}`, error);
  };

  readonly #onClose = (): void => {
    if (this.#phase === 'closed') return;
    // TLS passes on its last records in a pause as well, and closes the socket before the pause is over.
    if (!this.#destroyed) this.#reads.passLast();
    this.#phase = 'closed';
    this.#timer?.cancel();
    this.#reader.stop();
    const socket = this.#socket;
    this.#reads.stop();
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    if (!this.#orderly) this.#error ??= lost('the link was closed');
    this.#head = undefined;
    this.#nextPong = undefined;
    this.#queue.close();
    this.#sink?.onClose(this.#error);
  };

  /** The socket has taken a block. */
  #progress(): void {
    // A slow link may need long for the written bytes, but they must move.
    if (this.#phase === 'ending' && this.#error === undefined) this.#limit(CLOSE_TIMEOUT_MS);
    if (this.#drainAt === undefined || this.#queue.bytes > this.#drainAt || this.#phase !== 'open') return;
    this.#drainAt = undefined;
    this.#sink?.onDrain();
  }

  // Closing.

  /** The close frame waits behind all data, so that everything written is delivered. */
  #sendClose(code: number, reason = ''): void {
    this.#phase = 'ending';
    this.#queue.push(closeFrame(this.#role, code, reason), () => {
      this.#closeSent = true;
      this.#endSocket();
    });
  }

  #endSocket(): void {
    if (this.#closeSent && this.#peerClosed && this.#phase === 'ending') this.#socket.end();
  }

  #peerClose(code: number, reason: string): void {
    this.#peerClosed = true;
    if (code === CLOSE.normal || code === CLOSE.goingAway || code === CLOSE.none) this.#orderly = true;
    else this.#error ??= closedBy(code, reason);
    if (this.#phase === 'open') this.#sendClose(code);
    this.#limit(CLOSE_TIMEOUT_MS);
    this.#endSocket();
  }

  #violation({closeCode, reason}: Violation): void {
    const error = new TunlError('PROTOCOL', {reason: `The peer broke the WebSocket protocol: ${reason}.`});
    if (this.#phase !== 'open') {
      this.destroy(error);
      return;
    }
    this.#phase = 'ending';
    this.#error = error;
    this.#peerClosed = true;
    this.#limit(VIOLATION_TIMEOUT_MS);
    this.#queue.dropWaiting();
    this.#sendClose(closeCode, reason);
  }

  /** Destroys the socket when its end makes no progress within `ms`. */
  #limit(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(ms, () => {
      this.destroy(this.#error ?? (this.#peerClosed ? undefined : lost('the peer did not answer the close')));
    });
  }

  /** One pong at a time, for the latest ping (RFC 6455 §5.5.3): a flood of pings cannot pile up pongs. */
  #answerPing(payload: Buffer): void {
    if (this.#phase !== 'open') return;
    if (this.#pongUnderWay) {
      this.#nextPong = payload;
      return;
    }
    this.#pongUnderWay = true;
    this.#queue.pushFirst(controlFrame(this.#role, OPCODE.pong, payload), () => {
      this.#pongUnderWay = false;
      const next = this.#nextPong;
      this.#nextPong = undefined;
      if (next !== undefined) this.#answerPing(next);
    });
  }
}

/** Without a stack: all links of a relay may break in the same moment. */
function lost(reason: string, cause?: unknown): TunlError {
  return errorForPeer('RELAY_LOST', {reason: `${reason[0]?.toUpperCase()}${reason.slice(1)}.`, cause});
}

/** The error for a peer's close code. The reason is the peer's own text, so it is shortened and cleaned for printing. */
function closedBy(code: number, reason: string): TunlError {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  const said = reason.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').trim();
  const text = `The peer closed the link: ${code}${said === '' ? '' : ` (${said})`}.`;
  const broke = [CLOSE.protocol, CLOSE.unsupported, CLOSE.invalidData, CLOSE.tooBig].some((c) => c === code);
  return new TunlError(broke ? 'PROTOCOL' : 'RELAY_LOST', {reason: text});
}
