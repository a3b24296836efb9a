// The queue of blocks for a socket: in order, one write at a time; each block is returned exactly once.

import type {Socket} from 'node:net';

/**
 * From this size on a block is written alone. TLSWrap copies several buffers into one before it encrypts;
 * for a large block that copy costs more than a turn of the event loop, for small blocks less.
 */
const ALONE_BYTES = 32 * 1024;

/** Small blocks are written together up to about this much. */
const TOGETHER_BYTES = 64 * 1024;

interface Block {
  bytes: Buffer;
  onWritten: (() => void) | undefined;
}

/**
 * A socket's own buffer would gather the waiting blocks and write them with one `writev`, copied (see ALONE_BYTES).
 * In this queue they go one by one, and a pong can still go first.
 */
export class SendQueue {
  readonly #socket: Socket;
  readonly #onProgress: () => void;
  #waiting: Block[] = [];
  #underWay: Block[] = [];
  #bytes = 0;
  #closed = false;

  /** `onProgress` is called after each block that the socket has taken. */
  constructor(socket: Socket, onProgress: () => void) {
    this.#socket = socket;
    this.#onProgress = onProgress;
  }

  /** Bytes that the kernel has not taken yet. */
  get bytes(): number {
    return this.#bytes;
  }

  push(bytes: Buffer, onWritten?: () => void): void {
    this.#bytes += bytes.length;
    this.#waiting.push({bytes, onWritten});
    this.#pump();
  }

  /** Sends a block before all blocks that wait. */
  pushFirst(bytes: Buffer, onWritten?: () => void): void {
    this.#bytes += bytes.length;
    this.#waiting.unshift({bytes, onWritten});
    this.#pump();
  }

  /** Returns the blocks that the socket has not got. */
  dropWaiting(): void {
    const dropped = this.#waiting;
    this.#waiting = [];
    for (const block of dropped) this.#giveBack(block);
  }

  /** The socket is closed: returns all blocks. */
  close(): void {
    this.#closed = true;
    const all = [...this.#underWay, ...this.#waiting];
    this.#underWay = [];
    this.#waiting = [];
    for (const block of all) this.#giveBack(block);
  }

  #pump(): void {
    const first = this.#waiting[0];
    if (this.#closed || this.#underWay.length > 0 || first === undefined) return;
    if (this.#waiting.length === 1 || first.bytes.length >= ALONE_BYTES) {
      this.#waiting.shift();
      this.#write(first);
      return;
    }
    let total = 0;
    let count = 0;
    for (const {bytes} of this.#waiting) {
      if (bytes.length >= ALONE_BYTES || total >= TOGETHER_BYTES) break;
      total += bytes.length;
      count += 1;
    }
    this.#socket.cork();
    for (const block of this.#waiting.splice(0, count)) this.#write(block);
    this.#socket.uncork();
  }

  #write(block: Block): void {
    this.#underWay.push(block);
    this.#socket.write(block.bytes, this.#onSocketWritten);
  }

  /** The socket calls back in the order of the writes. An error needs no attention here: `close` follows it. */
  readonly #onSocketWritten = (): void => {
    const block = this.#underWay.shift();
    if (block === undefined) return;
    if (this.#underWay.length === 0 && !this.#socket.destroyed) this.#pump();
    this.#giveBack(block);
    this.#onProgress();
  };

  #giveBack(block: Block): void {
    this.#bytes -= block.bytes.length;
    block.onWritten?.();
  }
}
