// Reads dialled sockets without allocations: busy sockets directly into pooled blocks, quiet ones through one shared buffer.

import type {Socket} from 'node:net';
import type {Block, BlockPool} from '../mux/blocks.js';
import {PAYLOAD_AT, PAYLOAD_BYTES} from '../mux/stream.js';
import {sharedBuffer} from '../net/own-buffers.js';

/** From this size on a read gets its own block; smaller reads are copied. */
const OWN_BLOCK_FROM_BYTES = 32 * 1024;

/** The most blocks for reads that may never come; beyond that, busy sockets share the quiet buffer as well. 5 MiB. */
const MAX_LENT = 32;

/** Takes the bytes of one socket. Both return false when the socket must not be read until it is resumed. */
export interface ReadTarget {
  /** The bytes are valid until it returns. */
  read(chunk: Buffer): boolean;
  /** `length` bytes from PAYLOAD_AT on. The block is the target's from now on. */
  readBlock(block: Block, length: number): boolean;
}

/** The option `onread` of `net.connect`. The caller must call `release` when the socket is closed. */
export interface SocketRead {
  buffer(): Uint8Array;
  callback(bytes: number, buffer: Uint8Array): boolean;
  release(): void;
}

/** One for each agent and relay. Accepted sockets have no `onread` in Node: `readInto` of net/own-buffers.ts gives them the same. */
export class SocketReads {
  readonly #pool: BlockPool;
  readonly #mostBytes: number;
  readonly #shared = sharedBuffer();
  #lent = 0;

  /** @param mostBytes of one read, where the bytes of a block get more in front of them than the session's headers */
  constructor(pool: BlockPool, mostBytes = PAYLOAD_BYTES) {
    this.#pool = pool;
    this.#mostBytes = mostBytes;
  }

  /** The `onread` option for the socket whose bytes `target` takes. The socket pauses when the callback returns false. */
  for(target: ReadTarget): SocketRead {
    let block: Block | undefined;
    let busy = false;
    const lend = (): Block => {
      this.#lent += 1;
      block = this.#pool.take();
      return block;
    };
    const unlend = (): Block | undefined => {
      const mine = block;
      if (mine !== undefined) this.#lent -= 1;
      block = undefined;
      return mine;
    };
    return {
      buffer: () => {
        if (!busy || (block === undefined && this.#lent >= MAX_LENT)) return this.#shared;
        return (block ?? lend()).buffer.subarray(PAYLOAD_AT, PAYLOAD_AT + this.#mostBytes);
      },
      callback: (bytes, buffer) => {
        busy = bytes >= OWN_BLOCK_FROM_BYTES;
        if (block === undefined || buffer.buffer !== block.buffer.buffer) {
          return target.read(this.#shared.subarray(0, bytes));
        }
        const mine = unlend() as Block;
        if (busy) return target.readBlock(mine, bytes);
        const go = target.read(mine.buffer.subarray(PAYLOAD_AT, PAYLOAD_AT + bytes));
        mine.release();
        return go;
      },
      release: () => unlend()?.release(),
    };
  }
}

export interface ReaderOptions {
  allowHalfOpen: true;
  onread?: Pick<SocketRead, 'buffer' | 'callback'>;
}

/** Makes a socket whose bytes go to `read` from the first one on. Without `read` the socket has `data` events. */
export function withReader(read: SocketRead | undefined, open: (options: ReaderOptions) => Socket): Socket {
  if (read === undefined) return open({allowHalfOpen: true});
  const {buffer, callback} = read;
  const socket = open({allowHalfOpen: true, onread: {buffer, callback}});
  socket.once('close', () => read.release());
  return socket;
}
