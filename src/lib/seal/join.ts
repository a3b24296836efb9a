// Joins a connection of a sealed program with its outside: bytes, half-closes, resets and back-pressure pass through.

import {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {outliveFailedWrites} from '../bytes/failed-writes.js';
import {resetSocket} from '../bytes/reset.js';

const NOTHING = Buffer.alloc(0);

/** A broken connection's last bytes may take this long to reach the other side, ms. */
const LAST_BYTES_MS = 10_000;

export interface JoinOptions {
  /** Reads the first bytes from inside, before anything from there goes on. It must call `inside.pipe(outside)` then. */
  readonly first?: (() => void) | undefined;
  /** Called once, when both are closed. */
  readonly onDone: () => void;
}

/** Both must have been made with allowHalfOpen. Returns a function that resets both. */
export function join(inside: Duplex, outside: Duplex, {first, onDone}: JoinOptions): () => void {
  let open = 2;
  const closed = () => {
    open -= 1;
    if (open === 0) onDone();
  };
  follow(inside, outside, closed);
  follow(outside, inside, closed);
  outside.pipe(inside);
  if (first === undefined) inside.pipe(outside);
  else first();
  return () => {
    breakOff(inside);
    breakOff(outside);
  };
}

function follow(one: Duplex, other: Duplex, closed: () => void): void {
  let hasFailed = false;
  // Node would destroy it, with the answer that it has sent already.
  if (one instanceof Socket) {
    outliveFailedWrites(one, () => {
      hasFailed = true;
      if (one.readableEnded) breakAfterWrites(other);
    });
  }
  one.once('end', () => hasFailed && breakAfterWrites(other));
  one.on('error', () => breakAfterWrites(other));
  one.once('close', () => {
    if (!one.readableEnded || !one.writableFinished) breakAfterWrites(other);
    closed();
  });
}

/** The other side is gone: this one gets the bytes that came before, then a reset. */
function breakAfterWrites(side: Duplex): void {
  if (side.destroyed || side.writableLength === 0 || side.writableEnded) {
    breakOff(side);
    return;
  }
  const timer = setTimeout(breakOff, LAST_BYTES_MS, side).unref();
  side.write(NOTHING, () => breakOff(side));
  side.once('close', () => clearTimeout(timer));
}

/** The peer sees a reset, where there is one. */
export function breakOff(side: Duplex): void {
  if (side.destroyed) return;
  if (side instanceof Socket) resetSocket(side);
  else side.destroy();
}
