// A stream of the relay while two members make their TLS handshake in it. After the handshake the same stream is a carrier of
// encrypted records, without TLS.
//
// The first bytes of the other member's records may come while TLS still reads its last ones. Every record of TLS says how long
// it is, and none begins as one of those records does, so the bytes are told apart here.

import {StreamDuplex} from '../bytes/stream-duplex.js';
import {RECORD_BYTE} from '../carrier/encrypted-carrier.js';
import type {Clock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {StreamCarrier} from '../mux/stream-carrier.js';

type Done = (error?: Error | null) => void;

const TLS_HEADER_BYTES = 5;
/** `write` of the carrier returns false above this, as for a link of its own. */
const HIGH_WATER_BYTES = 512 * 1024;

export class HandshakeStream extends StreamDuplex {
  readonly #records = new TlsRecords();
  /** The bytes behind the records of TLS. They have no credit, so the window limits them. */
  #early: Buffer[] = [];
  #hasEnded = false;
  #isTaken = false;

  override onData(piece: Buffer): void {
    const own = this.#early.length > 0 ? 0 : this.#records.measure(piece);
    if (own > 0) super.onData(own === piece.length ? piece : piece.subarray(0, own));
    if (own < piece.length) this.#early.push(piece.subarray(own));
  }

  override onEnd(): void {
    this.#hasEnded = true;
    super.onEnd();
  }

  /** Both members have read the last bytes of TLS. The stream is the carrier's. @throws TunlError MEMBER_UNREACHABLE: it is gone */
  takeOver(clock: Clock): StreamCarrier {
    if (this.destroyed || this.#isTaken || this.stream.state === 'closed')
      throw new TunlError('MEMBER_UNREACHABLE', {reason: 'The way to the member has ended.'});
    this.#isTaken = true;
    const early = this.#early;
    this.#early = [];
    const carrier = new StreamCarrier(this.stream, {
      clock,
      label: 'relay',
      highWaterBytes: HIGH_WATER_BYTES,
      early,
    });
    if (this.#hasEnded) carrier.end();
    return carrier;
  }

  // ── From TLS, which may have a last word after its time ──

  override _write(chunk: Buffer, encoding: BufferEncoding, done: Done): void {
    if (this.#isTaken) done();
    else super._write(chunk, encoding, done);
  }

  override _writev(chunks: {chunk: Buffer}[], done: Done): void {
    if (this.#isTaken) done();
    else super._writev(chunks, done);
  }

  override _final(done: Done): void {
    if (this.#isTaken) done();
    else super._final(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#early = [];
    if (this.#isTaken) done(error);
    else super._destroy(error, done);
  }
}

/** Finds the end of the records of TLS in a stream of bytes. */
export class TlsRecords {
  /** Bytes of the header that have come, and of the payload that are to come. */
  #header = 0;
  #left = 0;

  /** How many of these bytes, which follow those before, belong to TLS. Those behind do not. */
  measure(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0 && this.#header === TLS_HEADER_BYTES) {
        const piece = Math.min(this.#left, bytes.length - at);
        this.#left -= piece;
        at += piece;
        if (this.#left > 0) break;
        this.#header = 0;
        continue;
      }
      const byte = bytes[at] as number;
      if (this.#header === 0 && byte === RECORD_BYTE) break;
      this.#header += 1;
      // The length is in the last two bytes.
      if (this.#header > TLS_HEADER_BYTES - 2) this.#left = (this.#left << 8) | byte;
      if (this.#header === TLS_HEADER_BYTES && this.#left === 0) this.#header = 0;
      at += 1;
    }
    return at;
  }
}
