// The multiplexer's state between one agent and one relay: streams, flow control, and what is owed to the peer.
// It knows one link at a time and outlives it: without a link everything waits, on the next one it goes on where it was.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {encodeMessage} from '../protocol/control-messages.js';
import type {LinkMessage} from '../protocol/link-messages.js';
import {
  FRAME,
  FRAME_HEADER,
  type FrameType,
  isStreamCode,
  KIND,
  LIMITS,
  type StreamCode,
  type StreamKind,
  writeFrameHeader,
} from '../protocol/wire.js';
import type {Block, BlockPool} from './blocks.js';
import {FrameReader, type FrameSink} from './frame-reader.js';
import {growWithinMs, type Link, type LinkSink, STANDSTILL_MS} from './link.js';
import {HEADER_ROOM, type LaneName, Outbox, type SendSegment} from './outbox.js';
import {Stream, type StreamHost} from './stream.js';
import {ReceiveWindow, WindowBudget} from './window.js';

/** Who opens odd stream ids (the relay) and even ones (the agent). */
export type SessionRole = 'agent' | 'relay';

export interface SessionSink {
  /** The peer opened a stream. Set its sink, then accept or refuse it, now or later. `about` is the OPEN's JSON. */
  onOpen(stream: Stream, about: Buffer): void;
  onControl(payload: Buffer): void;
  /** The peer means to go away. */
  onGoaway?(message: LinkMessage & {type: 'goaway'}): void;
  /** The link is gone; streams are kept until the resume window has passed. */
  onDetached?(error: Error | undefined): void;
  /** The session is over, exactly once; every stream has been told. Undefined after an orderly end. */
  onEnded(error: TunlError | undefined): void;
}

export interface SessionOptions {
  role: SessionRole;
  sink: SessionSink;
  pool: BlockPool;
  clock?: Clock;
  /** How long streams are kept without a link, ms. Default 60,000. */
  resumeWindowMs?: number;
  /** Unacknowledged bytes kept for replay; at this many the local sockets are no longer read. Default 16 MiB. */
  replayBytes?: number;
  /** False: nothing is kept, a lost link is the session's end (to measure what keeping costs). Default true. */
  keepForReplay?: boolean;
  /** With this much waiting for the peer, here and in the carrier, local sockets are read no further. Default 256 KiB: more is throughput, less is latency beside bulk. */
  queueBytes?: number;
  /** What the windows of this and other sessions may grow by together; those of one session by 64 MiB at the most. */
  windowBudget?: WindowBudget;
  /** Streams open at once. Default LIMITS.streams. */
  maxStreams?: number;
}

/** A stream that sent no more than this since the queue was last empty, or within LULL_MS on a link that keeps up, is quiet: its frames overtake bulk. */
const QUIET_BYTES = 16 * 1024;
const LULL_MS = 10;
/** Bulk streams woken at a time: each is expected to bring one read of this size. */
const READ_BYTES = 64 * 1024;
/** Urgent frames that wait: beyond it the peer does not read, and the session ends. */
const MAX_URGENT_BYTES = 32 * 1024 * 1024;
/** Urgent frames pass a full carrier up to here. */
const MAX_CARRIER_BYTES = 2 * 1024 * 1024;
/** No ack for this long with the link alive and bytes outstanding: the peer does not keep its side. */
const ACK_DEADLINE_MS = 20_000;

export class Session implements StreamHost, LinkSink, FrameSink {
  readonly role: SessionRole;
  readonly #sink: SessionSink;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #reader: FrameReader;
  readonly #budget: WindowBudget;
  readonly #resumeWindowMs: number;
  readonly #replayBytes: number;
  readonly #keeps: boolean;
  readonly #queueBytes: number;
  readonly #maxStreams: number;
  readonly #streams = new Map<number, Stream>();
  readonly #waiting = new Set<Stream>();
  #link: Link | undefined;
  #ended = false;
  #detachedTimer: Timer | undefined;
  #nextId: number;
  #lastPeerId: number;
  #receiving: Stream | undefined;
  /** Session bytes received, and the count that the peer was last told. */
  #received = 0;
  #ackSent = 0;
  #ackTimer: Timer | undefined;
  #ackDeadline: Timer | undefined;
  /** The carrier said to hold back; `onDrain` takes that back. */
  #full = false;
  /** One bulk segment goes out after each drain, even if urgent frames have filled the carrier again: they must not starve it. */
  #bulkDue = false;
  #flushing = false;
  #framesSinceFlush = 0;
  #framesLastFlush = 0;
  #wakeScheduled = false;
  #lull = 0;
  #lullAt = 0;

  constructor(options: SessionOptions) {
    this.role = options.role;
    this.#sink = options.sink;
    this.#clock = options.clock ?? systemClock;
    this.#keeps = options.keepForReplay ?? true;
    this.#outbox = new Outbox(options.pool, {keepForReplay: this.#keeps});
    this.#reader = new FrameReader(this);
    this.#budget = new WindowBudget(64 * 1024 * 1024, options.windowBudget);
    this.#resumeWindowMs = options.resumeWindowMs ?? 60_000;
    this.#replayBytes = options.replayBytes ?? 16 * 1024 * 1024;
    this.#queueBytes = options.queueBytes ?? 256 * 1024;
    this.#maxStreams = options.maxStreams ?? LIMITS.streams;
    this.#nextId = this.role === 'relay' ? 1 : 2;
    this.#lastPeerId = this.role === 'relay' ? 0 : -1;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get link(): Link | undefined {
    return this.#link;
  }

  /** Session bytes received so far: what a resume tells the peer. */
  get receivedBytes(): number {
    return this.#received;
  }

  /** Sent and not acknowledged. */
  get unackedBytes(): number {
    return this.#outbox.unackedBytes;
  }

  /** Kept in memory for the peer: waiting, or sent and not acknowledged. */
  get queuedBytes(): number {
    return this.#outbox.waitingBytes + this.#outbox.unackedBytes;
  }

  /**
   * Goes on over `link`; a link that was still there is fenced: destroyed, and nothing more is taken from it.
   * @param peerReceived session bytes that the peer has; all after them is sent again.
   * @returns false when that count cannot be; the session is over then.
   */
  attach(link: Link, peerReceived: number): boolean {
    if (this.#ended) return false;
    const old = this.#link;
    this.#link = undefined;
    if (old !== undefined) {
      old.handTo(NOBODY);
      old.destroy();
    }
    if (!this.#outbox.rewind(peerReceived)) {
      link.handTo(NOBODY);
      link.endWith('SESSION_RANGE', 'bytes that are gone or were never sent');
      this.destroy(new TunlError('SESSION_RANGE'));
      return false;
    }
    this.#detachedTimer?.cancel();
    this.#detachedTimer = undefined;
    this.#ackDeadline?.cancel();
    this.#ackDeadline = undefined;
    this.#link = link;
    this.#full = false;
    this.#ackSent = this.#received;
    link.handTo(this);
    // Nobody is told a second time of a link that closed before it was handed over.
    if (link.closed) this.onClose(undefined);
    else this.#scheduleFlush();
    return true;
  }

  /** Opens a stream; its first bytes may follow at once. Undefined: as many streams as allowed are open, or the session is over. */
  open(kind: StreamKind, about: object): Stream | undefined {
    if (this.#ended || this.#streams.size >= this.#maxStreams || this.#nextId > LIMITS.maxStreamId)
      return undefined;
    const json = encodeMessage(about);
    const payload = Buffer.allocUnsafe(1 + json.length);
    if (payload.length > LIMITS.openBytes) throw new RangeError('an OPEN that no peer would take');
    const stream = this.#addStream(this.#nextId, kind, 'opening');
    this.#nextId += 2;
    payload[0] = kind;
    json.copy(payload, 1);
    this.#sendFrame(FRAME.open, stream.id, payload);
    return stream;
  }

  /** A control message, in order with all others. */
  sendControl(message: object): void {
    const payload = encodeMessage(message);
    if (payload.length > LIMITS.controlBytes)
      throw new RangeError('a control message that no peer would take');
    this.#sendFrame(FRAME.control, 0, payload);
  }

  /** Over for good, and the peer is told why; every stream is reset on both sides. Idempotent. */
  close(code = 'CLOSED', message = 'closed'): void {
    if (this.#ended) return;
    this.#flush();
    const link = this.#link;
    this.#link = undefined;
    if (link !== undefined) {
      link.handTo(NOBODY);
      link.endWith(code, message);
    }
    this.#end(undefined);
  }

  /** Over for good, at once. Idempotent. */
  destroy(error: TunlError): void {
    if (this.#ended) return;
    const link = this.#link;
    this.#link = undefined;
    if (link !== undefined) {
      link.handTo(NOBODY);
      link.destroy(error);
    }
    this.#end(error);
  }

  /** The peer sent what it may not: it is told, and the session is over. */
  onViolation(reason: string): void {
    const link = this.#link;
    this.#link = undefined;
    link?.handTo(NOBODY);
    link?.endWith('PROTOCOL', reason);
    this.#end(new TunlError('PROTOCOL', {reason}));
  }

  #end(error: TunlError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reader.stop();
    for (const timer of [this.#detachedTimer, this.#ackTimer, this.#ackDeadline]) timer?.cancel();
    for (const stream of [...this.#streams.values()]) stream.abandon('SESSION_ENDED');
    this.#streams.clear();
    this.#waiting.clear();
    this.#outbox.clear();
    this.#sink.onEnded(error);
  }

  // ── From the link ──

  onSegmentBytes(piece: Buffer): void {
    this.#received += piece.length;
    try {
      this.#reader.push(piece);
    } catch (error) {
      // The rest of the piece is counted and was not read: there is nothing to go on from.
      this.destroy(toTunlError(error));
    }
    if (this.#ended) return;
    if (this.#received - this.#ackSent >= LIMITS.ackBytes) this.#scheduleFlush(true);
    else if (this.#ackTimer === undefined) {
      this.#ackTimer = this.#clock.after(LIMITS.ackDelayMs, () => {
        this.#ackTimer = undefined;
        this.#sendAck();
      });
    }
  }

  onAck(count: number): void {
    const before = this.#outbox.ackedBytes;
    const wasFull = this.#outbox.unackedBytes >= this.#replayBytes;
    if (!this.#outbox.acknowledge(count)) {
      this.onViolation(`an ack of ${count} bytes, which cannot be`);
      return;
    }
    if (count > before) {
      this.#ackDeadline?.cancel();
      this.#ackDeadline = undefined;
    }
    if (wasFull) this.#scheduleFlush(true);
    this.#scheduleWake();
  }

  onDrain(): void {
    this.#full = false;
    this.#bulkDue = true;
    this.#flush();
  }

  onMessage(message: LinkMessage): void {
    switch (message.type) {
      case 'goaway':
        this.#sink.onGoaway?.(message);
        return;
      case 'close': {
        const link = this.#link;
        this.#link = undefined;
        link?.handTo(NOBODY);
        link?.end();
        const orderly = message.code === 'CLOSED';
        this.#end(orderly ? undefined : closeError(message.code, message.message));
        return;
      }
      default:
        this.onViolation(`a ${message.type} message inside a session`);
    }
  }

  onClose(error: Error | undefined): void {
    this.#link = undefined;
    if (this.#ended) return;
    if (!this.#keeps || this.#resumeWindowMs === 0) {
      this.#end(new TunlError('RELAY_LOST', {cause: error}));
      return;
    }
    this.#ackDeadline?.cancel();
    this.#ackDeadline = undefined;
    this.#detachedTimer = this.#clock.after(this.#resumeWindowMs, () =>
      this.destroy(new TunlError('RESUME_EXPIRED')),
    );
    this.#sink.onDetached?.(error);
  }

  // ── From the frame reader ──

  onDataStart(streamId: number, length: number): boolean {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (!this.#wasOpened(streamId)) this.onViolation(`data on stream ${streamId}, which was never opened`);
      return false;
    }
    if (!stream.receiveDataStart(length)) {
      this.onViolation(
        `${length} bytes on stream ${streamId} in state ${stream.state}, past its end or its window`,
      );
      return false;
    }
    this.#receiving = stream;
    return true;
  }

  onData(piece: Buffer): void {
    this.#receiving?.receiveData(piece);
  }

  onFrame(type: number, streamId: number, payload: Buffer): void {
    if (type === FRAME.control) this.#sink.onControl(payload);
    else if (type === FRAME.open) this.#onOpen(streamId, payload);
    else this.#onStreamFrame(type, streamId, payload);
  }

  #onOpen(streamId: number, payload: Buffer): void {
    const peersOwn = (streamId % 2 === 1) === (this.role === 'agent');
    if (!peersOwn || streamId <= this.#lastPeerId) {
      this.onViolation(`stream id ${streamId} is not the peer’s to open, or was used before`);
      return;
    }
    this.#lastPeerId = streamId;
    const kind = Object.values(KIND).find((each) => each === payload[0]);
    if (kind === undefined || this.#streams.size >= this.#maxStreams) {
      this.#sendCode(FRAME.refused, streamId, kind === undefined ? 'KIND_UNKNOWN' : 'TOO_MANY_STREAMS');
      return;
    }
    this.#sink.onOpen(this.#addStream(streamId, kind, 'offered'), payload.subarray(1));
  }

  #onStreamFrame(type: number, streamId: number, payload: Buffer): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      // Frames that crossed with our reset, or with the last FIN.
      if (!this.#wasOpened(streamId)) this.onViolation(`stream ${streamId} was never opened`);
      return;
    }
    if (!this.#deliver(stream, type, payload)) {
      this.onViolation(`a frame of type ${type} on stream ${streamId} in state ${stream.state}`);
    }
  }

  #deliver(stream: Stream, type: number, payload: Buffer): boolean {
    switch (type) {
      case FRAME.credit:
        return stream.receiveCredit(payload.readUInt32BE());
      case FRAME.opened:
        return stream.receive('receiveOpened', 'CANCELLED');
      case FRAME.refused:
        return stream.receive('receiveRefused', readCode(payload));
      case FRAME.fin:
        return stream.receive('receiveFin', 'CANCELLED');
      case FRAME.reset:
        return stream.receive('receiveReset', readCode(payload));
      default:
        return false;
    }
  }

  #wasOpened(streamId: number): boolean {
    const peersOwn = (streamId % 2 === 1) === (this.role === 'agent');
    return peersOwn ? streamId <= this.#lastPeerId : streamId < this.#nextId;
  }

  // ── From the streams ──

  sendData(stream: Stream, chunk: Buffer): void {
    const lane = this.#laneFor(stream, chunk.length);
    let at = 0;
    while (at < chunk.length) {
      const most = FRAME_HEADER + chunk.length - at;
      const place = this.#outbox.claim(lane, most, FRAME_HEADER + 1);
      const length = place.length - FRAME_HEADER;
      writeFrameHeader(place.buffer, place.at, FRAME.data, stream.id, length);
      chunk.copy(place.buffer, place.at + FRAME_HEADER, at, at + length);
      at += length;
    }
    if (lane === 'bulk') stream.bulkMark = this.#outbox.bulkMark;
    this.#wrote();
  }

  adoptBlock(stream: Stream, block: Block, end: number): void {
    writeFrameHeader(block.buffer, HEADER_ROOM, FRAME.data, stream.id, end - HEADER_ROOM - FRAME_HEADER);
    this.#outbox.adopt(block, end);
    stream.bulkMark = this.#outbox.bulkMark;
    this.#wrote();
  }

  sendFin(stream: Stream): void {
    const behindBulk = this.#outbox.bulkIsWaiting(stream.bulkMark);
    this.#sendFrame(FRAME.fin, stream.id, NOTHING, behindBulk ? 'bulk' : 'urgent');
  }

  sendShort(
    stream: Stream,
    event: 'sendOpened' | 'sendRefused' | 'sendReset',
    code: StreamCode = 'CANCELLED',
  ): void {
    if (event === 'sendOpened') this.#sendFrame(FRAME.opened, stream.id, NOTHING);
    else this.#sendCode(event === 'sendReset' ? FRAME.reset : FRAME.refused, stream.id, code);
  }

  sendCredit(stream: Stream, bytes: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(bytes);
    this.#sendFrame(FRAME.credit, stream.id, payload);
  }

  mayWrite(stream: Stream): boolean {
    if (this.#link === undefined || this.#outbox.unackedBytes >= this.#replayBytes) return false;
    if (!this.#crowded()) return true;
    // Only what would go to the urgent lane may still come.
    if (this.#outbox.bulkIsWaiting(stream.bulkMark) || !this.#isQuiet(stream, 1)) return false;
    return this.#outbox.urgentBytes < MAX_CARRIER_BYTES;
  }

  await(stream: Stream): void {
    this.#waiting.add(stream);
    this.#scheduleWake();
  }

  forget(stream: Stream): void {
    this.#streams.delete(stream.id);
    this.#waiting.delete(stream);
    if (this.#receiving === stream) this.#receiving = undefined;
  }

  now(): number {
    return this.#clock.now();
  }

  growWithinMs(): number {
    return growWithinMs(this.#link);
  }

  soon(fn: () => void): void {
    this.#clock.soon(fn);
  }

  // ── Sending ──

  #addStream(id: number, kind: StreamKind, state: 'opening' | 'offered'): Stream {
    const window = new ReceiveWindow(this.#budget, this.#clock.now());
    const stream = new Stream(this, id, kind, state, window);
    this.#streams.set(id, stream);
    return stream;
  }

  /** Small frames of quiet streams overtake bulk; a stream's own order is kept. */
  #laneFor(stream: Stream, length: number): LaneName {
    if (this.#outbox.bulkIsWaiting(stream.bulkMark) || !this.#isQuiet(stream, length)) return 'bulk';
    stream.urgentBytes += length;
    return 'urgent';
  }

  #isQuiet(stream: Stream, length: number): boolean {
    if (stream.lull !== this.#lull) {
      stream.lull = this.#lull;
      stream.urgentBytes = 0;
    }
    return stream.urgentBytes + length <= QUIET_BYTES;
  }

  #sendCode(type: FrameType, streamId: number, code: StreamCode): void {
    this.#sendFrame(type, streamId, encodeMessage({code}));
  }

  #sendFrame(type: FrameType, streamId: number, payload: Buffer, lane: LaneName = 'urgent'): void {
    if (this.#ended) return;
    const place = this.#outbox.claim(lane, FRAME_HEADER + payload.length);
    writeFrameHeader(place.buffer, place.at, type, streamId, payload.length);
    payload.copy(place.buffer, place.at + FRAME_HEADER);
    this.#wrote();
  }

  #wrote(): void {
    this.#framesSinceFlush += 1;
    this.#scheduleFlush();
  }

  /** While little happens the flush follows at once; when busy it waits for the rest of this turn's input. */
  #scheduleFlush(later = false): void {
    if (this.#flushing) return;
    this.#flushing = true;
    const flush = () => {
      this.#flushing = false;
      this.#flush();
    };
    if (later || this.#framesLastFlush > 2) this.#clock.soon(flush);
    else queueMicrotask(flush);
  }

  #flush(): void {
    if (this.#ended) return;
    this.#framesLastFlush = this.#framesSinceFlush;
    this.#framesSinceFlush = 0;
    if (this.#outbox.urgentBytes > MAX_URGENT_BYTES) {
      this.onViolation('the peer leaves too much unread');
      return;
    }
    if (this.#link === undefined) return;
    const now = this.#clock.now();
    const keepsUp = !this.#full;
    if (this.#sendWaiting(this.#link) || (keepsUp && now - this.#lullAt > LULL_MS)) {
      this.#lull += 1;
      this.#lullAt = now;
    }
    this.#guardAcks();
    this.#scheduleWake();
    if (this.#received - this.#ackSent >= LIMITS.ackBytes) this.#sendAck();
  }

  /** Returns whether all of it went out. */
  #sendWaiting(link: Link): boolean {
    const outbox = this.#outbox;
    while (!this.#full && outbox.unsent) outbox.sendNext(this.#sendSegment);
    if (outbox.unsent || outbox.unackedBytes >= this.#replayBytes) return false;
    if (!this.#full || link.carrier.bufferedBytes < MAX_CARRIER_BYTES) {
      outbox.sealUrgent();
      while (outbox.unsent) outbox.sendNext(this.#sendSegment);
    }
    // Never past urgent frames that wait: they may be of the same stream.
    while (outbox.urgentBytes === 0 && (!this.#full || this.#bulkDue)) {
      if (outbox.unackedBytes >= this.#replayBytes || !outbox.sealBulk()) break;
      this.#bulkDue = false;
      outbox.sendNext(this.#sendSegment);
    }
    return outbox.waitingBytes === 0;
  }

  readonly #sendSegment: SendSegment = (buffer, start, end, written) => {
    const go = this.#link?.sendSegment(buffer, start, end, this.#takeAck(), written) ?? false;
    if (!go) this.#full = true;
    return go;
  };

  #takeAck(): number | undefined {
    if (this.#ackSent === this.#received) return undefined;
    this.#ackSent = this.#received;
    return this.#received;
  }

  #sendAck(): void {
    const count = this.#takeAck();
    if (count !== undefined) this.#link?.sendAck(count);
  }

  /** As much is outstanding as is ever kept: the peer has to acknowledge some of it before long. */
  #guardAcks(): void {
    if (!this.#keeps || this.#ackDeadline !== undefined || this.#outbox.unackedBytes < this.#replayBytes)
      return;
    this.#awaitAck(ACK_DEADLINE_MS);
  }

  #awaitAck(ms: number): void {
    const dueAt = this.#clock.now() + ms;
    this.#ackDeadline = this.#clock.after(ms, () => {
      this.#ackDeadline = undefined;
      if (this.#link === undefined) return;
      // A process that stood still has not read yet what came meanwhile.
      if (this.#clock.now() - dueAt > STANDSTILL_MS) this.#awaitAck(STANDSTILL_MS);
      else this.onViolation('the peer does not acknowledge what it receives');
    });
  }

  #queued(): number {
    return this.#outbox.waitingBytes + (this.#link?.carrier.bufferedBytes ?? 0);
  }

  #crowded(): boolean {
    if (this.#queued() < this.#queueBytes) return false;
    // Something has to tell when there is room again: a drain, an ack, or the flush of what waits here.
    return this.#full || this.#outbox.unackedBytes > 0 || this.#outbox.waitingBytes > 0;
  }

  #scheduleWake(): void {
    if (this.#wakeScheduled || this.#waiting.size === 0) return;
    if (this.#link === undefined || this.#crowded()) return;
    this.#wakeScheduled = true;
    this.#clock.soon(() => {
      this.#wakeScheduled = false;
      this.#wake();
    });
  }

  /** Lets as many waiting streams read on as there is room for, the longest waiting first; the next turn sees to the rest. */
  #wake(): void {
    if (this.#ended || this.#link === undefined || this.#outbox.unackedBytes >= this.#replayBytes) return;
    let room = this.#queueBytes - this.#queued();
    for (const stream of this.#waiting) {
      if (room <= 0) break;
      this.#waiting.delete(stream);
      stream.wake();
      room -= READ_BYTES;
    }
    this.#scheduleWake();
  }
}

const NOTHING = Buffer.alloc(0);

const NOBODY: LinkSink = {
  onSegmentBytes: () => {},
  onAck: () => {},
  onMessage: () => {},
  onDrain: () => {},
  onClose: () => {},
};

function readCode(payload: Buffer): StreamCode {
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'));
    const code = typeof value === 'object' && value !== null && 'code' in value ? value.code : undefined;
    return isStreamCode(code) ? code : 'CANCELLED';
  } catch {
    return 'CANCELLED';
  }
}

function closeError(code: string, message: string): TunlError {
  switch (code) {
    case 'PROTOCOL':
    case 'SESSION_RANGE':
    case 'TAKEN_OVER':
    case 'RELAY_BUSY':
    case 'TOKEN_WRONG':
      return new TunlError(code, {reason: message});
    default:
      return new TunlError('RELAY_LOST', {reason: message});
  }
}
