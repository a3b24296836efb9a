// Wraps a carrier: takes everything and passes on nothing until it is released, like a socket whose peer does not read.
import type {Carrier, CarrierSink} from '../../src/lib/mux/carrier.js';

export class StuckCarrier implements Carrier {
  readonly label: string;
  readonly headroom: number;
  readonly #inner: Carrier;
  readonly #highWaterBytes: number;
  #sink: CarrierSink | undefined;
  #waiting: (() => void)[] = [];
  #buffered = 0;
  #released = false;

  constructor(inner: Carrier, highWaterBytes = 256 * 1024) {
    this.#inner = inner;
    this.#highWaterBytes = highWaterBytes;
    this.label = inner.label;
    this.headroom = inner.headroom;
  }

  get bufferedBytes(): number {
    return this.#released ? this.#inner.bufferedBytes : this.#buffered;
  }

  start(sink: CarrierSink): void {
    this.#sink = sink;
    this.#inner.start(sink);
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    if (this.#released) return this.#inner.write(block, start, end, onWritten);
    this.#buffered += end - start;
    this.#waiting.push(() => this.#inner.write(block, start, end, onWritten));
    return this.#buffered <= this.#highWaterBytes;
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
  }

  release(): void {
    this.#released = true;
    for (const write of this.#waiting.splice(0)) write();
    this.#sink?.onDrain();
  }
}
