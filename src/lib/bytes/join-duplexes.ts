// Joins two Duplexes of any kind until both directions have ended. Half-closes, resets and back-pressure pass through.
//
// A socket and a stream are joined faster by a splice.

import {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {TLSSocket} from 'node:tls';
import {outliveFailedWrites} from './failed-writes.js';
import {resetSocket} from './reset.js';
import {StreamDuplex} from './stream-duplex.js';

/** A broken connection is reset when its last bytes have not left within this time, ms. */
const LAST_BYTES_MS = 10_000;

const NOTHING = Buffer.alloc(0);

/**
 * Both must allow half-open connections. One that breaks breaks the other one, after the bytes that it has brought.
 *
 * @param onDone called once, when both are closed. `isBroken`: not in order.
 */
export function joinDuplexes(one: Duplex, other: Duplex, onDone?: (isBroken: boolean) => void): void {
  let left = 2;
  let isBroken = false;
  const closed = (isOrderly: boolean) => {
    left -= 1;
    isBroken ||= !isOrderly;
    if (left === 0) onDone?.(isBroken);
  };
  watch(one, other, closed);
  watch(other, one, closed);
  one.pipe(other);
  other.pipe(one);
}

function watch(each: Duplex, other: Duplex, closed: (isOrderly: boolean) => void): void {
  each.on('error', ignore);
  const writes = each instanceof Socket ? readToTheEnd(each) : undefined;
  const onClose = () => {
    writes?.forget();
    const isOrderly = each.readableEnded && each.writableFinished;
    // Bytes that came while the other one took no more.
    if (!other.destroyed && other.writable)
      for (let rest = each.read(); rest !== null; rest = each.read()) other.write(rest);
    if (!isOrderly) breakAfterData(other);
    closed(isOrderly);
  };
  if (each.closed) setImmediate(onClose);
  else each.once('close', onClose);
}

/** A failed write breaks a socket only after all its received bytes have been read. */
function readToTheEnd(socket: Socket): {forget(): void} {
  return outliveFailedWrites(socket, (code = 'EPIPE') => {
    const destroy = () => socket.destroy(Object.assign(new Error(`write ${code}`), {code, syscall: 'write'}));
    if (socket.readableEnded) destroy();
    // A turn later: the other one must see the end first.
    else socket.once('end', () => setImmediate(destroy));
  });
}

function breakAfterData(duplex: Duplex): void {
  if (duplex.destroyed) return;
  const timer = setTimeout(reset, LAST_BYTES_MS).unref();
  function reset(): void {
    clearTimeout(timer);
    if (!duplex.destroyed) resetDuplex(duplex);
  }
  if (duplex.writableLength === 0) reset();
  else if (duplex.writableEnded) duplex.once('finish', () => setImmediate(reset));
  else duplex.write(NOTHING, () => setImmediate(reset));
}

/** The peer sees a reset, where the kind of connection has one. */
export function resetDuplex(duplex: Duplex): void {
  // It first gets what the session has not sent yet.
  if (duplex instanceof StreamDuplex) duplex.stream.resetAfterData('VISITOR_RESET');
  else if (!(duplex instanceof Socket)) duplex.destroy();
  else resetSocket(duplex, (duplex as Partial<TLSSocket>).encrypted ? below(duplex) : duplex);
}

/** The TCP socket below TLS. */
function below(socket: Socket): Socket {
  return (socket as unknown as {_parent?: Socket})._parent ?? socket;
}

const ignore = (): void => {};
