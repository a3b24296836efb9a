// A pipe whose bytes move only when the test says so, and only as many: it can break between any two bytes.
// Unlike the pipe in memory it keeps written blocks by reference until they are taken, as a socket does, and writes
// a header in front, so a block that is reused too early shows.
import type {Carrier, CarrierSink} from '../../src/lib/mux/carrier.js';

const HEADROOM = 14;

interface Written {
  block: Buffer;
  at: number;
  end: number;
  onWritten: (() => void) | undefined;
}

export class SlowEnd implements Carrier {
  readonly label: string;
  readonly headroom = HEADROOM;
  readonly #highWaterBytes: number;
  #queue: Written[] = [];
  #buffered = 0;
  #drainAt: number | undefined;
  /** Bytes that left this end and have not reached the other. */
  #wire: Buffer[] = [];
  #wireBytes = 0;
  #sink: CarrierSink | undefined;
  #ending = false;
  #closed = false;
  #paused = false;
  peer: SlowEnd | undefined;

  constructor(label: string, highWaterBytes: number) {
    this.label = label;
    this.#highWaterBytes = highWaterBytes;
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True when `take` or `deliver` would move something. */
  get busy(): boolean {
    return !this.#closed && (this.#buffered > 0 || this.#wireBytes > 0 || this.#ending);
  }

  start(sink: CarrierSink): void {
    this.#sink = sink;
  }

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    if (start < HEADROOM) throw new RangeError('no room for the header');
    if (this.#closed || this.#ending) {
      onWritten?.();
      return true;
    }
    block.fill(0x57, start - HEADROOM, start);
    this.#queue.push({block, at: start, end, onWritten});
    this.#buffered += end - start;
    if (this.#buffered <= this.#highWaterBytes) return true;
    this.#drainAt = this.#buffered / 2;
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  end(): void {
    this.#ending = true;
  }

  destroy(error?: Error): void {
    this.close(error);
    this.peer?.closeSoon();
  }

  /** The kernel takes up to `bytes` of what was written. */
  take(bytes: number): void {
    let left = bytes;
    for (
      let first = this.#queue[0];
      first !== undefined && left > 0 && !this.#closed;
      first = this.#queue[0]
    ) {
      const upTo = Math.min(first.end, first.at + left);
      this.#wire.push(Buffer.from(first.block.subarray(first.at, upTo)));
      this.#wireBytes += upTo - first.at;
      this.#buffered -= upTo - first.at;
      left -= upTo - first.at;
      first.at = upTo;
      if (upTo < first.end) break;
      this.#queue.shift();
      first.onWritten?.();
    }
    if (this.#drainAt === undefined || this.#buffered > this.#drainAt || this.#closed) return;
    this.#drainAt = undefined;
    this.#sink?.onDrain();
  }

  /** The peer gets up to `bytes` of what was taken, as one chunk. */
  deliver(bytes: number): void {
    const peer = this.peer;
    if (peer === undefined || peer.#closed || peer.#paused || this.#closed) return;
    const got: Buffer[] = [];
    let left = bytes;
    while (left > 0) {
      const first = this.#wire.shift();
      if (first === undefined) break;
      if (first.length > left) this.#wire.unshift(first.subarray(left));
      got.push(first.subarray(0, left));
      left -= Math.min(left, first.length);
    }
    const chunk = Buffer.concat(got);
    this.#wireBytes -= chunk.length;
    if (chunk.length > 0) peer.#sink?.onData(chunk);
    if (!this.#ending || this.#buffered > 0 || this.#wireBytes > 0) return;
    this.close(undefined);
    peer.close(undefined);
  }

  /** The end that did not break sees the close with the next delivery at the earliest. */
  closeSoon(): void {
    setImmediate(() => this.close(undefined));
  }

  /** Breaks only this end: the other one notices nothing. */
  close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const {onWritten} of this.#queue.splice(0)) onWritten?.();
    this.#buffered = 0;
    this.#wire = [];
    this.#wireBytes = 0;
    this.#sink?.onClose(error);
  }
}

export interface SlowPipe {
  agent: SlowEnd;
  relay: SlowEnd;
}

export function createSlowPipe(highWaterBytes = 256 * 1024): SlowPipe {
  const agent = new SlowEnd('slow agent', highWaterBytes);
  const relay = new SlowEnd('slow relay', highWaterBytes);
  agent.peer = relay;
  relay.peer = agent;
  return {agent, relay};
}
