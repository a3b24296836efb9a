// Two carriers that are joined in memory: each receives the bytes of the other, some turns later.

import type {Carrier, CarrierSink} from './carrier.js';

export interface PipeOptions {
  /** `write` returns false above this. Default 256 KiB. */
  highWaterBytes?: number;
  /** Schedules each delivery. Default setImmediate. */
  deliver?: (fn: () => void) => void;
}

class PipeEnd implements Carrier {
  readonly label: string;
  readonly headroom = 0;
  readonly #highWaterBytes: number;
  readonly #deliver: (fn: () => void) => void;
  #error: Error | undefined;
  #sink: CarrierSink | undefined;
  #peer: PipeEnd | undefined;
  #buffered = 0;
  #full = false;
  #closed = false;
  #paused = false;
  /** Input of this end that came while it was paused. */
  #unread: Array<() => void> = [];

  constructor(label: string, options: PipeOptions) {
    this.label = label;
    this.#highWaterBytes = options.highWaterBytes ?? 256 * 1024;
    this.#deliver = options.deliver ?? ((fn) => void setImmediate(fn));
  }

  join(peer: PipeEnd): void {
    this.#peer = peer;
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  start(sink: CarrierSink): void {
    this.#sink = sink;
    if (this.#closed) this.#deliver(() => sink.onClose(this.#error));
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    if (this.#closed) {
      onWritten?.();
      return true;
    }
    const chunk = Buffer.from(block.subarray(start, end));
    this.#buffered += chunk.length;
    this.#deliver(() => this.#peer?.whenReading(() => this.#move(chunk, onWritten)));
    if (this.#buffered < this.#highWaterBytes) return true;
    // The mark stays until the drain, even if later writes return true.
    this.#full = true;
    return false;
  }

  #move(chunk: Buffer, onWritten: (() => void) | undefined): void {
    this.#buffered -= chunk.length;
    onWritten?.();
    if (this.#closed) return;
    this.#peer?.receive(chunk);
    if (this.#full && this.#buffered < this.#highWaterBytes / 2) {
      this.#full = false;
      this.#sink?.onDrain();
    }
  }

  whenReading(move: () => void): void {
    if (this.#paused && !this.#closed) this.#unread.push(move);
    else move();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#readAll();
  }

  #readAll(): void {
    while (!this.#paused || this.#closed) {
      const move = this.#unread.shift();
      if (move === undefined) return;
      move();
    }
  }

  receive(chunk: Buffer): void {
    if (!this.#closed) this.#sink?.onData(chunk);
  }

  end(): void {
    this.#deliver(() =>
      this.#peer?.whenReading(() => {
        this.close(undefined);
        this.#peer?.close(undefined);
      }),
    );
  }

  destroy(error?: Error): void {
    this.#deliver(() => this.#peer?.close(undefined));
    this.close(error);
  }

  close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#error = error;
    this.#readAll();
    this.#sink?.onClose(error);
  }
}

/** Two ends of one ordered pipe; deliveries come from the scheduler, never from within `write`. */
export function createPipe(options: PipeOptions = {}): readonly [Carrier, Carrier] {
  const a = new PipeEnd('pipe a', options);
  const b = new PipeEnd('pipe b', options);
  a.join(b);
  b.join(a);
  return [a, b];
}
