// One end of a stream that writes a known sequence of bytes, checks the sequence that it reads, and records errors.
import {BLOCK_BYTES, type BlockPool} from '../../src/lib/mux/blocks.js';
import {PAYLOAD_AT, PAYLOAD_BYTES, type Stream, type StreamSink} from '../../src/lib/mux/stream.js';
import type {StreamCode} from '../../src/lib/protocol/wire.js';

/** A prime, so a shift by a power of two is always noticed. */
const PERIOD = 65_521;
const TABLE = Buffer.alloc(PERIOD + BLOCK_BYTES);
for (let i = 0, state = 12_345; i < TABLE.length; i += 1) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  TABLE[i] = i < PERIOD ? state >>> 16 : (TABLE[i - PERIOD] as number);
}

export type Side = 'agent' | 'relay';

/** Bytes [from, from + length) of what `side` sends on a stream; at most a block. */
export function sequence(streamId: number, side: Side, from: number, length: number): Buffer {
  const shift = (from + streamId * 7_919 + (side === 'agent' ? 104_729 : 0)) % PERIOD;
  return TABLE.subarray(shift, shift + length);
}

export interface StreamEndOptions {
  side: Side;
  pool: BlockPool;
  /** Bytes of one write. Default 16 KiB. */
  chunkBytes?: number;
  /** Read into blocks and write those. */
  blocks?: boolean;
}

export class StreamEnd implements StreamSink {
  readonly stream: Stream;
  readonly side: Side;
  readonly #pool: BlockPool;
  readonly #chunkBytes: number;
  readonly #blocks: boolean;
  readonly faults: string[] = [];
  /** Bytes that are not written yet. */
  #owed = 0;
  written = 0;
  #writable = true;
  #mayWrite: boolean;
  #ending = false;
  ended = false;
  /** This side reset or refused the stream. */
  dropped = false;
  received = 0;
  unread = 0;
  reading = true;
  /** The peer's end came after `received` bytes. */
  remoteEnded = false;
  opened = false;
  resetCode: StreamCode | undefined;
  closed = false;

  /** @param accepted false: the peer opened the stream, and it was not accepted yet. */
  constructor(stream: Stream, options: StreamEndOptions, accepted: boolean) {
    this.stream = stream;
    this.side = options.side;
    this.#pool = options.pool;
    this.#chunkBytes = Math.min(options.chunkBytes ?? 16 * 1024, PAYLOAD_BYTES);
    this.#blocks = options.blocks ?? false;
    this.#mayWrite = accepted;
    stream.sink = this;
  }

  /** Nothing more happens here. */
  get over(): boolean {
    return this.closed || this.dropped || this.resetCode !== undefined;
  }

  /** Everything that it should write is written. */
  get idle(): boolean {
    return this.#owed === 0 && !this.#ending && !this.over;
  }

  accept(): void {
    if (this.over || this.#mayWrite) return;
    this.stream.accept();
    this.#mayWrite = true;
    this.#pump();
  }

  refuse(code: StreamCode): void {
    if (this.over) return;
    this.dropped = true;
    this.stream.refuse(code);
  }

  write(bytes: number): void {
    if (this.#ending || this.over) return;
    this.#owed += bytes;
    this.#pump();
  }

  end(): void {
    if (this.over) return;
    this.#ending = true;
    this.#pump();
  }

  reset(code: StreamCode): void {
    if (this.over) return;
    this.dropped = true;
    this.stream.reset(code);
  }

  stop(): void {
    this.reading = false;
  }

  go(): void {
    this.reading = true;
    this.consume(this.unread);
  }

  consume(bytes: number): void {
    const count = Math.min(bytes, this.unread);
    this.unread -= count;
    if (!this.over && count > 0) this.stream.consumed(count);
  }

  /** What this end still waits for, for the report of a test that hangs. */
  describe(): string {
    const {stream} = this;
    const sent = `wrote ${this.written} of ${this.written + this.#owed}, held ${stream.heldBytes}, ended ${this.ended}`;
    const got = `received ${this.received}, unread ${this.unread}, remote ended ${this.remoteEnded}`;
    return `${this.side} ${stream.id} ${stream.state}: ${sent}; ${got}`;
  }

  #pump(): void {
    while (this.#mayWrite && this.#writable && this.#owed > 0 && !this.over) {
      const length = Math.min(this.#owed, this.#chunkBytes);
      const bytes = sequence(this.stream.id, this.side, this.written, length);
      this.#owed -= length;
      this.written += length;
      if (this.#blocks) {
        const block = this.#pool.take();
        bytes.copy(block.buffer, PAYLOAD_AT);
        this.#writable = this.stream.writeBlock(block, length);
      } else {
        // The buffer is overwritten afterwards: `write` must have copied it.
        const chunk = Buffer.from(bytes);
        this.#writable = this.stream.write(chunk);
        chunk.fill(0xdd);
      }
    }
    if (!this.#ending || this.#owed > 0 || this.ended || !this.#mayWrite || this.over) return;
    this.ended = true;
    this.stream.end();
  }

  // ── From the stream ──

  onData(piece: Buffer): void {
    this.#expectAlive('data');
    if (this.remoteEnded) this.#fault('data after the end');
    if (piece.length === 0) this.#fault('an empty piece');
    const from: Side = this.side === 'agent' ? 'relay' : 'agent';
    for (let at = 0; at < piece.length; at += BLOCK_BYTES) {
      const part = piece.subarray(at, at + BLOCK_BYTES);
      if (part.equals(sequence(this.stream.id, from, this.received + at, part.length))) continue;
      this.#fault(`other bytes than were sent, from ${this.received + at} on`);
    }
    this.received += piece.length;
    this.unread += piece.length;
    const {unreadBytes, receiveWindowBytes} = this.stream;
    if (this.unread > receiveWindowBytes) this.#fault(`${this.unread} bytes unread of ${receiveWindowBytes}`);
    // The window counts a frame when it begins, so the count may be ahead.
    if (unreadBytes < this.unread)
      this.#fault(`the window counts ${unreadBytes} unread, it is ${this.unread}`);
    if (this.reading) this.consume(this.unread);
  }

  onEnd(): void {
    this.#expectAlive('an end');
    if (this.remoteEnded) this.#fault('a second end');
    this.remoteEnded = true;
  }

  onWritable(): void {
    this.#expectAlive('onWritable');
    if (this.#writable) this.#fault('onWritable although nothing was refused');
    this.#writable = true;
    this.#pump();
  }

  onOpened(): void {
    this.#expectAlive('onOpened');
    if (this.opened) this.#fault('opened twice');
    this.opened = true;
  }

  onReset(code: StreamCode): void {
    this.#expectAlive('a reset');
    this.resetCode = code;
  }

  onClosed(): void {
    this.#expectAlive('onClosed');
    if (!this.ended || !this.remoteEnded) this.#fault('closed before both ends');
    this.closed = true;
  }

  #expectAlive(what: string): void {
    if (this.over) this.#fault(`${what} after the last event`);
  }

  #fault(what: string): void {
    this.faults.push(`${this.side}, stream ${this.stream.id}: ${what}`);
  }
}
