// The interface of the pipe under a session. A WebSocket, an in-memory pipe and a stream of another session implement it.

import type {Block} from './blocks.js';

/** The events of a carrier for its session. The carrier calls them; they never throw. */
export interface CarrierSink {
  /**
   * Bytes that arrived, in order; a chunk boundary means nothing. The chunk belongs to the sink from now on:
   * it may keep views of it, and the carrier never writes into it again.
   */
  onData(chunk: Buffer): void;
  /** `bufferedBytes` fell below half of what it was when `write` returned false. */
  onDrain(): void;
  /** The pipe has closed; called exactly once, whichever side ended it. Undefined after an orderly end. */
  onClose(error: Error | undefined): void;
}

/** One physical ordered byte pipe between two sessions. Reading never waits for writing. */
export interface Carrier {
  /** Names the pipe in logs, e.g. `wss 203.0.113.7:51234`. */
  readonly label: string;
  /** The host that was dialled and that the peer's certificate proves, if there is one. */
  readonly peerHost?: string;
  /** Bytes at the start of each `write` buffer that the carrier fills with its own header: see `write`. */
  readonly headroom: number;
  /** Bytes accepted by `write` and not yet taken by the kernel (or the peer, in memory). */
  readonly bufferedBytes: number;
  /** Events go to `sink` from the next tick on. Called once. */
  start(sink: CarrierSink): void;
  /**
   * Sends `block[start, end)`. `start ≥ headroom`: the carrier may overwrite the bytes just before `start`.
   * The block must stay untouched until `onWritten` was called; then it is the caller's again. A carrier that
   * dies calls `onWritten` for every block as well.
   * Returns false when more than `highWaterBytes` are waiting: the caller should hold data back until `onDrain`.
   */
  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean;
  /**
   * Sends the `length` bytes at PAYLOAD_AT of a block, which is the carrier's from now on. Returns the same as `write`. A carrier
   * without this method would copy the block as well.
   */
  writeBlock?(block: Block, length: number): boolean;
  /** No `onData` until `resume`. What arrives meanwhile waits in the pipe, so that its other end has to wait. Idempotent. */
  pause(): void;
  resume(): void;
  /** Orderly: written bytes are delivered, then the pipe closes. Idempotent. */
  end(): void;
  /** At once; nothing more is delivered. Idempotent. */
  destroy(error?: Error): void;
  /**
   * Key material of the pipe's own TLS for one purpose (RFC 8446 §7.5): only the two ends have it.
   * Undefined: the pipe has no TLS of its own, as in memory. Throws when its TLS cannot give any.
   */
  exportKey?(label: string, bytes: number): Buffer | undefined;
}
