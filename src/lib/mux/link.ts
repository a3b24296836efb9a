// One carrier in use: sends and receives records while the peer is there. It ends with its carrier.

import {type Clock, systemClock} from '../core/clock.js';
import {countRead} from '../core/collect.js';
import {TunlError} from '../core/errors.js';
import {Moment} from '../core/moment.js';
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
import {LinkInput} from './link-input.js';
import {PeerWatch} from './peer-watch.js';
import {RoundTrips} from './round-trips.js';
import {ACK_UNITS, Turns, type WorkLeft} from './work.js';

/** Acks, pings and pongs go out even when the carrier is full, up to this limit: a peer that never reads gets no more. */
const SHORT_RECORDS_ROOM = 1024 * 1024;

export interface LinkSink {
  /** A sink whose work is used up stops and notes in `work.unread` how much of the piece must come again. */
  onSegmentBytes(piece: Buffer, work: WorkLeft): void;
  onAck(count: number): void;
  onMessage(message: LinkMessage): void;
  onDrain(): void;
  /** The peer broke the protocol. The owner ends everything that depends on the link; without this callback only the link ends. */
  onViolation?(reason: string, code: ViolationCode): void;
  /** Called exactly once, when the link has ended. Undefined after an orderly end. */
  onClose(error: Error | undefined): void;
}

/** The sink of a link without a session or handshake. */
export const NOBODY: LinkSink = {
  onSegmentBytes: () => {},
  onAck: () => {},
  onMessage: () => {},
  onDrain: () => {},
  onClose: () => {},
};

export interface LinkOptions {
  clock?: Clock;
  /** Ping after this much silence, ms. Default 5,000. */
  pingAfterMs?: number;
  /** Dead after this much silence, ms. Default 15,000. */
  deadAfterMs?: number;
  /** The schedule of work that all links of a process share. Default: one for this link alone. */
  turns?: Turns;
}

export class Link implements CarrierSink {
  readonly carrier: Carrier;
  /** The count of received session bytes that this side told the peer in the handshake; undefined for a new session. */
  told: number | undefined;
  readonly #clock: Clock;
  readonly #options: LinkOptions;
  #watch: PeerWatch;
  readonly #trips = new RoundTrips();
  readonly #input: LinkInput;
  /** The count in the last ack. */
  #acked = 0;
  #sink: LinkSink | undefined;
  #closed = false;
  readonly #gone = new Moment();
  /** The carrier is full; `onDrain` will follow. */
  #full = false;
  /** Records that found no room in the carrier. Only the latest of each type is kept. */
  #owedPong: Buffer | undefined;
  #owedAck: number | undefined;

  constructor(carrier: Carrier, options: LinkOptions = {}) {
    this.carrier = carrier;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#watch = this.#newWatch();
    this.#input = new LinkInput({
      carrier,
      clock: this.#clock,
      turns: options.turns ?? new Turns(this.#clock),
      sink: {
        onSegmentBytes: (piece, work) => this.#sink?.onSegmentBytes(piece, work),
        onRecord: (type, payload) => this.#onRecord(type, payload),
        onViolation: (reason) => this.violate(reason),
      },
      onOver: (error) => this.#close(error),
    });
  }

  #newWatch(): PeerWatch {
    return new PeerWatch({
      clock: this.#clock,
      pingAfterMs: this.#options.pingAfterMs ?? 5_000,
      deadAfterMs: this.#options.deadAfterMs ?? 15_000,
      ping: () => this.#ping(),
      onDead: (silentMs) => {
        const reason = `no sign of the peer for ${(silentMs / 1000).toFixed(1)} s`;
        this.destroy(new TunlError('RELAY_LOST', {reason}));
      },
    });
  }

  /** The shortest round trip seen on this carrier, ms; Infinity before the first. */
  get rttMs(): number {
    return this.#trips.shortestMs;
  }

  /** The last measured round trip, with the time in queues before the ping; undefined before the first. */
  get lastRttMs(): number | undefined {
    return this.#trips.lastMs;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when the carrier is closed. */
  async gone(): Promise<void> {
    if (!this.#closed) await this.#gone.next();
  }

  start(sink: LinkSink): void {
    this.#sink = sink;
    this.carrier.start(this);
    this.#watch.start();
  }

  /** Passes the link's events to another sink: after the handshake the session takes over. */
  handTo(sink: LinkSink): void {
    this.#sink = sink;
  }

  /** Sends session bytes `buffer[start, end)`, with a due ack in front. A caller that gets false must wait for `onDrain`. */
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
    // The carrier may have room before it drains; the older one must not follow.
    this.#owedAck = undefined;
    const payload = Buffer.allocUnsafe(8);
    payload.writeBigUInt64BE(BigInt(count));
    this.#sendShort(RECORD.ack, payload);
  }

  sendMessage(message: LinkMessage): void {
    const long = 'message' in message && message.message.length > LIMITS.textCharacters;
    const sent = long ? {...message, message: message.message.slice(0, LIMITS.textCharacters)} : message;
    this.#sendShort(RECORD.message, encodeMessage(sent));
  }

  /** The peer broke the protocol: tells it so, then ends the link. */
  violate(reason: string, code: ViolationCode = 'PROTOCOL'): void {
    if (this.#sink?.onViolation !== undefined) {
      this.#sink.onViolation(reason, code);
      return;
    }
    this.endWith(code, reason);
    this.#finish(new TunlError(code, {reason}));
  }

  /** Stops reading from the peer until `readOn`. Silence is not counted as death meanwhile. Idempotent. */
  holdReading(): void {
    if (this.#input.isDiscarding) return;
    this.#watch.stop();
    this.#input.hold();
  }

  readOn(): void {
    if (this.#input.isDiscarding) return;
    this.#watch = this.#newWatch();
    this.#watch.start();
    this.#input.readOn();
  }

  /** Tells the peer why the session is over, then ends the carrier in order. */
  endWith(code: string, message: string): void {
    if (this.#closed) return;
    this.sendMessage({type: 'close', code, message});
    this.end();
  }

  end(): void {
    this.#watch.stop();
    this.#input.discard();
    this.carrier.end();
  }

  destroy(error?: Error): void {
    this.#watch.stop();
    this.#input.discard();
    this.carrier.destroy(error);
  }

  /** The link is idle, so a ping waits behind nothing: a round trip is measured, once a second. */
  measure(now: number): void {
    if (this.#trips.isDue(now)) this.#ping();
  }

  /** Tests a link that may be dead, such as after a change of address: the peer must answer within `withinMs`. */
  probe(withinMs: number): void {
    if (!this.#closed) this.#watch.probe(withinMs);
  }

  onData(chunk: Buffer): void {
    this.#watch.heard();
    countRead(chunk.length);
    this.#input.push(chunk);
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
    this.#input.close(error);
  }

  #close(error: Error | undefined): void {
    this.#finish(error);
    this.#gone.happen();
  }

  #onRecord(type: number, payload: Buffer): void {
    switch (type) {
      case RECORD.ack: {
        const count = payload.readBigUInt64BE();
        if (count > BigInt(Number.MAX_SAFE_INTEGER))
          this.violate('an ack of more bytes than can be counted', 'ACK_RANGE');
        else this.#onAck(Number(count));
        return;
      }
      case RECORD.ping:
        if (this.#hasRoom()) this.#sendShort(RECORD.pong, payload);
        else this.#owedPong = payload;
        return;
      case RECORD.pong:
        if (this.#trips.pong(payload, this.#clock.now())) this.#ping();
        return;
      case RECORD.message:
        this.#onMessage(payload);
    }
  }

  #onAck(count: number): void {
    // An honest peer sends few acks that acknowledge nothing new.
    if (count === this.#acked) this.#input.work.rare += ACK_UNITS;
    this.#acked = count;
    this.#sink?.onAck(count);
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
    const payload = this.#trips.ping(this.#clock.now());
    // When the carrier is full, enough is under way that the peer will acknowledge.
    if (this.#hasRoom()) this.#sendShort(RECORD.ping, payload);
  }

  #finish(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#input.stop();
    this.#watch.stop();
    this.#sink?.onClose(error);
  }
}

/**
 * Four times the shortest round trip on this link, ms: a window that is used up faster is too small. Under load, queues double
 * a round trip, and half a window gathers before its credit is on the way back.
 */
export function growWithinMs(link: Link | undefined): number {
  const rttMs = link?.rttMs ?? Number.POSITIVE_INFINITY;
  return Number.isFinite(rttMs) ? Math.max(2, 4 * rttMs) : 2;
}
