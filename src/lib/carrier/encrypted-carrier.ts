// A carrier whose bytes the two ends encrypt for each other, over a carrier that somebody in between can read and change: a
// stream through a relay. Both have secrets of a handshake that has proved who they are.
//
// A record is a header of 4 bytes (0x80, the length of the ciphertext), a tag of 16 bytes, and the ciphertext: AES-256-GCM with
// the header as additional data. A record that is changed, repeated, left out or moved does not match its tag, and ends the link.
// A link that is cut says nothing about the bytes: their end is a message in the records.

import {countRead} from '../core/collect.js';
import {TunlError} from '../core/errors.js';
import {createCipheriv, createDecipheriv} from '../core/node-crypto.js';
import type {Block, BlockPool} from '../mux/blocks.js';
import type {Carrier, CarrierSink} from '../mux/carrier.js';
import {PAYLOAD_AT, PAYLOAD_BYTES} from '../mux/stream.js';
import {RecordKeys} from './record-keys.js';

/** The first byte of a record; one of TLS begins with 20 to 24. */
export const RECORD_BYTE = 0x80;
const HEADER_BYTES = 4;
const TAG_BYTES = 16;
export const RECORD_HEAD_BYTES = HEADER_BYTES + TAG_BYTES;
/** A record is the payload of one block at most. */
export const MAX_RECORD_BYTES = PAYLOAD_BYTES - RECORD_HEAD_BYTES;
/** Records from this size on are made in a block of the pool. */
const OWN_BLOCK_FROM_BYTES = 16 * 1024;
const CIPHER = 'aes-256-gcm';
const TAG = {authTagLength: TAG_BYTES};

export interface EncryptedCarrierOptions {
  carrier: Carrier;
  pool: BlockPool;
  /** The secrets of the two directions: both ends have both, each the other way round. */
  sendSecret: Buffer;
  receiveSecret: Buffer;
  /** Default 2^20. Both ends must have the same. */
  recordsAKey?: number;
}

export class EncryptedCarrier implements Carrier, CarrierSink {
  readonly label: string;
  readonly headroom = 0;
  readonly #carrier: Carrier;
  readonly #pool: BlockPool;
  readonly #sends: RecordKeys;
  readonly #receives: RecordKeys;
  #sink: CarrierSink | undefined;
  #isOpen = true;
  #isDestroyed = false;
  #isPaused = false;
  #isReading = false;
  /** Chunks that came and are not read, and the place in the first one. More than one only in a pause. */
  #unread: Buffer[] = [];
  #at = 0;
  /** The carrier below has closed; told after `#unread`. */
  #end: {error: Error | undefined} | undefined;
  readonly #head = Buffer.alloc(RECORD_HEAD_BYTES);
  #headFill = 0;
  /** The length of the current record's ciphertext, and how much of it has come. */
  #length = 0;
  #fill = 0;
  /** The ciphertext of a record that comes in pieces. Its stream gets credit for them, so this is all the memory that a peer has. */
  #gathered: Block | undefined;

  constructor({carrier, pool, sendSecret, receiveSecret, recordsAKey}: EncryptedCarrierOptions) {
    this.#carrier = carrier;
    this.#pool = pool;
    this.label = carrier.label;
    this.#sends = new RecordKeys(sendSecret, recordsAKey);
    this.#receives = new RecordKeys(receiveSecret, recordsAKey);
  }

  get bufferedBytes(): number {
    return this.#carrier.bufferedBytes;
  }

  start(sink: CarrierSink): void {
    this.#sink = sink;
    this.#carrier.start(this);
  }

  /** The block is encrypted now, so it is the caller's again at once. */
  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    let go = true;
    for (let at = start; at < end && this.#isOpen; at += MAX_RECORD_BYTES)
      go = this.#send(block.subarray(at, Math.min(end, at + MAX_RECORD_BYTES)));
    onWritten?.();
    return go;
  }

  #send(plain: Buffer): boolean {
    const length = RECORD_HEAD_BYTES + plain.length;
    const block = plain.length < OWN_BLOCK_FROM_BYTES ? undefined : this.#pool.take();
    const at = block === undefined ? this.#carrier.headroom : PAYLOAD_AT;
    const record = block?.buffer ?? Buffer.allocUnsafe(at + length);
    record.writeUInt32BE(((RECORD_BYTE << 24) | plain.length) >>> 0, at);
    const {key, nonce} = this.#sends.next();
    const cipher = createCipheriv(CIPHER, key, nonce, TAG);
    cipher.setAAD(record.subarray(at, at + HEADER_BYTES));
    const ciphertext = cipher.update(plain);
    countRead(ciphertext.length);
    ciphertext.copy(record, at + RECORD_HEAD_BYTES);
    cipher.final();
    cipher.getAuthTag().copy(record, at + HEADER_BYTES);
    if (block !== undefined && this.#carrier.writeBlock !== undefined)
      return this.#carrier.writeBlock(block, length);
    return this.#carrier.write(record, at, at + length, block?.onWritten);
  }

  pause(): void {
    this.#isPaused = true;
    this.#carrier.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#readOn();
    if (!this.#isPaused) this.#carrier.resume();
  }

  end(): void {
    this.#carrier.end();
    this.#isOpen = false;
  }

  destroy(error?: Error): void {
    this.#isOpen = false;
    this.#isDestroyed = true;
    this.#drop();
    this.#carrier.destroy(error);
  }

  exportKey(): never {
    throw new Error('the keys of this carrier are for its records alone');
  }

  // ── From the carrier below ──

  onData(chunk: Buffer): void {
    // Nothing counts behind a record that is not genuine, whatever the carrier below still brings.
    if (this.#isDestroyed) return;
    this.#unread.push(chunk);
    this.#readOn();
  }

  onDrain(): void {
    this.#sink?.onDrain();
  }

  onClose(error: Error | undefined): void {
    this.#isOpen = false;
    this.#end = {error};
    this.#readOn();
  }

  /** Reads until it is paused. The sink may call any method meanwhile. */
  #readOn(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (!this.#isPaused && this.#unread.length > 0) this.#read();
    } catch (error) {
      const reason = 'What came is not what the other side has sent.';
      this.destroy(new TunlError('RELAY_LOST', {reason, cause: error}));
    } finally {
      this.#isReading = false;
    }
    const end = this.#end;
    if (end === undefined || this.#unread.length > 0) return;
    this.#end = undefined;
    this.#drop();
    this.#sink?.onClose(end.error);
  }

  /** Reads a header, a piece of a record, or a whole record. @throws when it is not genuine */
  #read(): void {
    const chunk = this.#unread[0] as Buffer;
    if (this.#headFill < RECORD_HEAD_BYTES) {
      const end = Math.min(chunk.length, this.#at + RECORD_HEAD_BYTES - this.#headFill);
      chunk.copy(this.#head, this.#headFill, this.#at, end);
      this.#headFill += end - this.#at;
      this.#move(chunk, end);
      if (this.#headFill === RECORD_HEAD_BYTES) this.#begin();
      return;
    }
    const end = Math.min(chunk.length, this.#at + this.#length - this.#fill);
    const piece = chunk.subarray(this.#at, end);
    this.#move(chunk, end);
    if (piece.length === this.#length) {
      this.#open(piece);
      return;
    }
    this.#gathered ??= this.#pool.take();
    piece.copy(this.#gathered.buffer, this.#fill);
    this.#fill += piece.length;
    if (this.#fill === this.#length) this.#open(this.#gathered.buffer.subarray(0, this.#length));
  }

  #move(chunk: Buffer, to: number): void {
    this.#at = to;
    if (to < chunk.length) return;
    this.#at = 0;
    this.#unread.shift();
  }

  #begin(): void {
    const word = this.#head.readUInt32BE(0);
    this.#length = word & 0xff_ffff;
    this.#fill = 0;
    if (word >>> 24 !== RECORD_BYTE || this.#length === 0 || this.#length > MAX_RECORD_BYTES)
      throw new RangeError('no header of a record');
  }

  /** No byte of a record is passed on before its tag is checked. */
  #open(ciphertext: Buffer): void {
    const {key, nonce} = this.#receives.next();
    const decipher = createDecipheriv(CIPHER, key, nonce, TAG);
    decipher.setAAD(this.#head.subarray(0, HEADER_BYTES));
    decipher.setAuthTag(this.#head.subarray(HEADER_BYTES));
    const plain = decipher.update(ciphertext);
    this.#headFill = 0;
    this.#gathered?.release();
    this.#gathered = undefined;
    decipher.final();
    this.#sink?.onData(plain);
  }

  #drop(): void {
    this.#unread = [];
    this.#at = 0;
    this.#gathered?.release();
    this.#gathered = undefined;
  }
}
