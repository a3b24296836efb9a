// One carrier in use: records in and out, and the watch over whether the peer is still there. It dies with its carrier.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {countRead} from '../core/young-gc.js';
import {encodeMessage} from '../protocol/control-messages.js';
import {MalformedMessage} from '../protocol/fields.js';
import {type LinkMessage, parseLinkMessage} from '../protocol/link-messages.js';
import {
  LIMITS,
  RECORD,
  RECORD_HEADER,
  type RecordType,
  type ViolationCode,
  writeRecordHeaderBefore,
} from '../protocol/wire.js';
import type {Carrier, CarrierSink} from './carrier.js';
import {RecordReader} from './record-reader.js';

/** Acks, pings and pongs go out although the carrier is full, but not without end: a peer that never reads gets no more. */
const SHORT_RECORDS_ROOM = 1024 * 1024;

/** A timer that fires this much late means that the whole process stood still (sleep, SIGSTOP), not that the peer is gone. */
export const STANDSTILL_MS = 2_000;

export interface LinkSink {
  onSegmentBytes(piece: Buffer): void;
  onAck(count: number): void;
  onMessage(message: LinkMessage): void;
  onDrain(): void;
  /** The peer sent what cannot be. Whoever has more to end than the link does so; without this the link just ends. */
  onViolation?(reason: string, code: ViolationCode): void;
  /** Exactly once. Undefined after an orderly end. */
  onClose(error: Error | undefined): void;
}

export interface LinkOptions {
  clock?: Clock;
  /** Ping after this much silence, ms. Default 5,000. */
  pingAfterMs?: number;
  /** Dead after this much silence, ms. Default 15,000. */
  deadAfterMs?: number;
}

/** Round trips measured when a link is new: the first is one of cold code on both sides. */
const FIRST_PINGS = 3;
const MEASURE_EVERY_MS = 1_000;

export class Link implements CarrierSink {
  readonly carrier: Carrier;
  /** How many session bytes the handshake told the peer of, when there was a session already. */
  told: number | undefined;
  readonly #clock: Clock;
  readonly #pingAfterMs: number;
  readonly #deadAfterMs: number;
  readonly #reader: RecordReader;
  #sink: LinkSink | undefined;
  #closed = false;
  #lastReceivedAt: number;
  #timer: Timer | undefined;
  #dueAt = 0;
  #pingSentAt: number | undefined;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #pingNumber = 0;
  /** The carrier asked to hold back; `onDrain` is sure to come. */
  #full = false;
  /** Found no room in the carrier. The latest of each stands for those before it. */
  #owedPong: Buffer | undefined;
  #owedAck: number | undefined;
  #rttMs = Number.POSITIVE_INFINITY;
  #lastRttMs: number | undefined;

  constructor(carrier: Carrier, options: LinkOptions = {}) {
    this.carrier = carrier;
    this.#clock = options.clock ?? systemClock;
    this.#pingAfterMs = options.pingAfterMs ?? 5_000;
    this.#deadAfterMs = options.deadAfterMs ?? 15_000;
    this.#lastReceivedAt = this.#clock.now();
    this.#reader = new RecordReader({
      onSegmentBytes: (piece) => this.#sink?.onSegmentBytes(piece),
      onRecord: (type, payload) => this.#onRecord(type, payload),
      onViolation: (reason) => this.violate(reason),
    });
  }

  /** The shortest round trip seen on this carrier, ms; Infinity before the first. */
  get rttMs(): number {
    return this.#rttMs;
  }

  /** The last one measured, what queued before the ping included; undefined before the first. */
  get lastRttMs(): number | undefined {
    return this.#lastRttMs;
  }

  get closed(): boolean {
    return this.#closed;
  }

  start(sink: LinkSink): void {
    this.#sink = sink;
    this.carrier.start(this);
    this.#ping();
    this.#watch(this.#pingAfterMs);
  }

  /** Hands the link's events to somebody else: the handshake is over, the session takes it. */
  handTo(sink: LinkSink): void {
    this.#sink = sink;
  }

  /** Sends session bytes `buffer[start, end)`, an ack in front if there is one. False: no more until onDrain. */
  sendSegment(
    buffer: Buffer,
    start: number,
    end: number,
    ack: number | undefined,
    written: () => void,
  ): boolean {
    let at = writeRecordHeaderBefore(buffer, start, RECORD.segment, end - start);
    if (ack !== undefined) {
      buffer.writeBigUInt64BE(BigInt(ack), at - 8);
      at = writeRecordHeaderBefore(buffer, at - 8, RECORD.ack, 8);
      this.#owedAck = undefined;
    }
    const go = this.carrier.write(buffer, at, end, written);
    if (!go) this.#full = true;
    return go;
  }

  sendAck(count: number): void {
    if (!this.#hasRoom()) {
      this.#owedAck = count;
      return;
    }
    const payload = Buffer.allocUnsafe(8);
    payload.writeBigUInt64BE(BigInt(count));
    this.#sendShort(RECORD.ack, payload);
  }

  sendMessage(message: LinkMessage): void {
    const long = 'message' in message && message.message.length > LIMITS.textCharacters;
    const sent = long ? {...message, message: message.message.slice(0, LIMITS.textCharacters)} : message;
    this.#sendShort(RECORD.message, encodeMessage(sent));
  }

  /** The peer broke the protocol: says so, then ends. */
  violate(reason: string, code: ViolationCode = 'PROTOCOL'): void {
    if (this.#sink?.onViolation !== undefined) {
      this.#sink.onViolation(reason, code);
      return;
    }
    this.endWith(code, reason);
    this.#finish(new TunlError(code, {reason}));
  }

  /** Tells the peer why the session is over, then ends the carrier in order. */
  endWith(code: string, message: string): void {
    if (this.#closed) return;
    this.sendMessage({type: 'close', code, message});
    this.end();
  }

  end(): void {
    this.#stopWatching();
    this.carrier.end();
  }

  destroy(error?: Error): void {
    this.#stopWatching();
    this.carrier.destroy(error);
  }

  /** The link is idle, and what is sent now does not wait behind anything: worth a round trip, once a second. */
  measure(now: number): void {
    if (this.#pingSentAt === undefined && now - this.#measuredAt >= MEASURE_EVERY_MS) this.#ping();
  }

  /** Something suggests that the link may be dead (an address changed): an answer is due within `withinMs`. */
  probe(withinMs: number): void {
    if (this.#closed) return;
    this.#ping();
    this.#watch(withinMs, true);
  }

  onData(chunk: Buffer): void {
    this.#lastReceivedAt = this.#clock.now();
    countRead(chunk.length);
    this.#reader.push(chunk);
  }

  onDrain(): void {
    this.#full = false;
    const pong = this.#owedPong;
    const ack = this.#owedAck;
    this.#owedPong = undefined;
    this.#owedAck = undefined;
    if (ack !== undefined) this.sendAck(ack);
    if (pong !== undefined) this.#sendShort(RECORD.pong, pong);
    this.#sink?.onDrain();
  }

  onClose(error: Error | undefined): void {
    this.#finish(error);
  }

  #onRecord(type: number, payload: Buffer): void {
    switch (type) {
      case RECORD.ack: {
        const count = payload.readBigUInt64BE();
        if (count > BigInt(Number.MAX_SAFE_INTEGER))
          this.violate('an ack of more bytes than can be counted', 'ACK_RANGE');
        else this.#sink?.onAck(Number(count));
        return;
      }
      case RECORD.ping:
        if (this.#hasRoom()) this.#sendShort(RECORD.pong, payload);
        else this.#owedPong = payload;
        return;
      case RECORD.pong:
        if (this.#pingSentAt !== undefined && payload.readUInt32BE(4) === this.#pingNumber) {
          this.#lastRttMs = this.#clock.now() - this.#pingSentAt;
          this.#rttMs = Math.min(this.#rttMs, this.#lastRttMs);
          this.#pingSentAt = undefined;
          if (this.#pingNumber < FIRST_PINGS) this.#ping();
        }
        return;
      case RECORD.message:
        this.#onMessage(payload);
    }
  }

  #onMessage(payload: Buffer): void {
    let message: LinkMessage;
    try {
      message = parseLinkMessage(payload);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.violate(`a malformed link message: ${error.message}`);
      return;
    }
    this.#sink?.onMessage(message);
  }

  #hasRoom(): boolean {
    return !this.#full || this.carrier.bufferedBytes <= SHORT_RECORDS_ROOM;
  }

  #sendShort(type: RecordType, payload: Buffer): void {
    if (this.#closed) return;
    const start = this.carrier.headroom;
    const record = Buffer.allocUnsafe(start + RECORD_HEADER + payload.length);
    payload.copy(record, start + RECORD_HEADER);
    writeRecordHeaderBefore(record, start + RECORD_HEADER, type, payload.length);
    if (!this.carrier.write(record, start, record.length)) this.#full = true;
  }

  #ping(): void {
    const payload = Buffer.alloc(8);
    this.#pingNumber = (this.#pingNumber + 1) >>> 0;
    payload.writeUInt32BE(this.#pingNumber, 4);
    this.#pingSentAt = this.#clock.now();
    this.#measuredAt = this.#pingSentAt;
    // Without room there is enough under way for the peer to acknowledge.
    if (this.#hasRoom()) this.#sendShort(RECORD.ping, payload);
  }

  /** Looks after `ms` whether anything came. `last`: silence until then is death. */
  #watch(ms: number, last = false): void {
    this.#timer?.cancel();
    const setAt = this.#clock.now();
    this.#dueAt = setAt + ms;
    this.#timer = this.#clock.after(ms, () => this.#look(setAt, last));
  }

  #look(setAt: number, last: boolean): void {
    if (this.#closed) return;
    const now = this.#clock.now();
    const silentMs = now - this.#lastReceivedAt;
    if (now - this.#dueAt > STANDSTILL_MS) {
      this.probe(STANDSTILL_MS);
      return;
    }
    if (silentMs >= this.#deadAfterMs || (last && this.#lastReceivedAt < setAt)) {
      const reason = `no sign of the peer for ${(silentMs / 1000).toFixed(1)} s`;
      this.destroy(new TunlError('RELAY_LOST', {reason}));
      return;
    }
    if (silentMs < this.#pingAfterMs) {
      this.#watch(this.#pingAfterMs - silentMs);
      return;
    }
    this.#ping();
    this.#watch(Math.min(this.#pingAfterMs, this.#deadAfterMs - silentMs));
  }

  #stopWatching(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #finish(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reader.stop();
    this.#stopWatching();
    this.#sink?.onClose(error);
  }
}

/** Two round trips on this link, ms: a window used up faster than this is too small. A floor keeps loopback from growing windows that only fill memory. */
export function growWithinMs(link: Link | undefined): number {
  const rttMs = link?.rttMs ?? Number.POSITIVE_INFINITY;
  return Number.isFinite(rttMs) ? Math.max(1, 2 * rttMs) : 1;
}
