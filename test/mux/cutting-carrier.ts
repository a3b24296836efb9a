// Wraps any carrier: breaks it after exactly n bytes, or stops one end from receiving without the other noticing.
import type {Carrier, CarrierSink} from '../../src/lib/mux/carrier.js';

export class CuttingCarrier implements Carrier, CarrierSink {
  readonly #inner: Carrier;
  #sink: CarrierSink | undefined;
  #left = Number.POSITIVE_INFINITY;
  #deaf = false;
  closed = false;

  constructor(inner: Carrier) {
    this.#inner = inner;
  }

  get label(): string {
    return this.#inner.label;
  }

  get headroom(): number {
    return this.#inner.headroom;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  start(sink: CarrierSink): void {
    this.#sink = sink;
    this.#inner.start(this);
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    return this.#inner.write(block, start, end, onWritten);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(error?: Error): void {
    this.#inner.destroy(error);
    if (this.#deaf) this.#close(error);
  }

  /** After `bytes` more bytes have arrived here, the carrier is gone on both sides. */
  cutAfter(bytes: number): void {
    this.#left = bytes;
    if (bytes === 0) this.#inner.destroy(new Error('cut'));
  }

  /** From now on nothing arrives here, not even that the carrier is gone. */
  deafen(): void {
    this.#deaf = true;
  }

  onData(chunk: Buffer): void {
    if (this.#deaf || this.#left === 0) return;
    if (chunk.length < this.#left) {
      this.#left -= chunk.length;
      this.#sink?.onData(chunk);
      return;
    }
    const last = chunk.subarray(0, this.#left);
    this.#left = 0;
    this.#sink?.onData(last);
    this.#inner.destroy(new Error('cut'));
  }

  onDrain(): void {
    if (!this.#deaf) this.#sink?.onDrain();
  }

  onClose(error: Error | undefined): void {
    if (!this.#deaf) this.#close(error);
  }

  #close(error: Error | undefined): void {
    if (this.closed) return;
    this.closed = true;
    this.#sink?.onClose(error);
  }
}
