// A plain socket as a session's carrier, for two processes of one machine: an inherited descriptor or a Unix socket. There are
// no frames around the bytes, so a FIN is the only end.

import type {Socket} from 'node:net';
import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {Carrier, CarrierSink} from '../mux/carrier.js';
import {LinkReads} from './link-reads.js';
import {SendQueue} from './send-queue.js';

export interface SocketCarrierOptions {
  /** Without listeners. The carrier owns it from now on. */
  socket: Socket;
  /** Default: `socket`. */
  label?: string;
  /** `write` returns false when this much or more waits. Default 512 KiB. */
  highWaterBytes?: number;
  clock?: Clock;
}

const HIGH_WATER_BYTES = 512 * 1024;
/** How long an orderly end may make no progress before it becomes a destroy, ms. */
const CLOSE_TIMEOUT_MS = 5_000;

/** `open` → `ending` (`end()` was called) → `closed` (the socket is gone). `destroy` and the peer's FIN lead to `closed`. */
type Phase = 'open' | 'ending' | 'closed';

export class SocketCarrier implements Carrier {
  readonly label: string;
  readonly headroom = 0;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #highWaterBytes: number;
  readonly #queue: SendQueue;
  readonly #reads: LinkReads;
  #sink: CarrierSink | undefined;
  #phase: Phase = 'open';
  /** The argument for `onClose`. */
  #error: Error | undefined;
  #destroyed = false;
  /** `onDrain` is called when no more than this waits; undefined while `write` has not returned false. */
  #drainAt: number | undefined;
  #timer: Timer | undefined;

  constructor(options: SocketCarrierOptions) {
    const {socket} = options;
    this.#socket = socket;
    this.#clock = options.clock ?? systemClock;
    this.#highWaterBytes = options.highWaterBytes ?? HIGH_WATER_BYTES;
    this.label = options.label ?? 'socket';
    this.#queue = new SendQueue(socket, () => this.#progress());
    this.#reads = new LinkReads(socket, {
      onBytes: (bytes) => this.#onData(bytes),
      onEnd: () => this.#onEnd(),
    });
    socket.setTimeout(0);
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
      this.#reads.start();
    });
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    if (this.#phase !== 'open' || end <= start) {
      if (onWritten !== undefined) process.nextTick(onWritten);
      return this.#phase === 'open';
    }
    this.#queue.push(block.subarray(start, end), onWritten);
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
    this.#phase = 'ending';
    // The peer's FIN must be seen, and its bytes before it.
    this.resume();
    this.#limit();
    // The queue hands over its last block before this callback runs.
    this.#afterQueue(() => this.#socket.end());
  }

  destroy(error?: Error): void {
    if (this.#phase === 'closed' || this.#destroyed) return;
    this.#destroyed = true;
    this.#phase = 'ending';
    this.#error = error;
    this.#socket.destroy();
  }

  // Events of the socket. Nothing here may throw: that would end the process.

  #onData(chunk: Buffer): void {
    if (!this.#destroyed) this.#sink?.onData(chunk);
  }

  #onEnd(): void {
    if (this.#phase === 'ending') this.#socket.end();
    else this.destroy(lost('The peer closed the connection.'));
  }

  readonly #onError = (error: Error): void => {
    if (this.#destroyed || this.#phase === 'ending') return;
    this.#error ??= lost(`The connection broke: ${error.message}.`, error);
  };

  readonly #onClose = (): void => {
    if (this.#phase === 'closed') return;
    // TLS passes on its last records in a pause as well, and closes the socket before the pause is over.
    if (!this.#destroyed) this.#reads.passLast();
    const phase = this.#phase;
    this.#phase = 'closed';
    this.#timer?.cancel();
    const socket = this.#socket;
    this.#reads.stop();
    socket.off('close', this.#onClose);
    if (phase === 'open') this.#error ??= lost('The connection was closed.');
    this.#queue.close();
    this.#sink?.onClose(this.#error);
  };

  /** The socket has taken a block. */
  #progress(): void {
    if (this.#phase === 'ending' && !this.#destroyed) this.#limit();
    if (this.#drainAt === undefined || this.#queue.bytes > this.#drainAt || this.#phase !== 'open') return;
    this.#drainAt = undefined;
    this.#sink?.onDrain();
  }

  #afterQueue(fn: () => void): void {
    if (this.#queue.bytes === 0) fn();
    else this.#queue.push(NOTHING, fn);
  }

  /** Destroys the socket when its end makes no progress in time. */
  #limit(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(CLOSE_TIMEOUT_MS, () =>
      this.destroy(lost('The peer did not close the connection.')),
    );
  }
}

const NOTHING = Buffer.alloc(0);

function lost(reason: string, cause?: unknown): TunlError {
  return new TunlError('RELAY_LOST', {reason, cause});
}
