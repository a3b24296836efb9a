// The multiplexer's state between one agent and one relay: streams, flow control, and what is owed to the peer.
// It knows one link at a time and outlives it: without a link everything waits, on the next one it goes on where it was.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {encodeMessage} from '../protocol/control-messages.js';
import type {LinkMessage} from '../protocol/link-messages.js';
import {
  FRAME,
  type FrameType,
  isStreamCode,
  KIND,
  LIMITS,
  type StreamCode,
  type StreamKind,
  VIOLATION_CODES,
  type ViolationCode,
} from '../protocol/wire.js';
import type {Block, BlockPool} from './blocks.js';
import {FrameReader, type FrameSink} from './frame-reader.js';
import {growWithinMs, type Link, type LinkSink} from './link.js';
import type {ReplayBudget} from './replay-budget.js';
import {Sender} from './sender.js';
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
  /** What all sessions of this process keep for replay together. Default: no bound besides each one's own. */
  replayBudget?: ReplayBudget;
  /** False: nothing is kept, a lost link is the session's end (to measure what keeping costs). Default true. */
  keepForReplay?: boolean;
  /** With this much waiting for the peer, here and in the carrier, local sockets are read no further. Default 1 MiB: less makes both sides wait for each other. */
  queueBytes?: number;
  /** What the windows of this and other sessions may grow by together; those of one session by 64 MiB at the most. */
  windowBudget?: WindowBudget;
  /** Streams open at once. Default LIMITS.streams. */
  maxStreams?: number;
}

export class Session implements StreamHost, LinkSink, FrameSink {
  readonly role: SessionRole;
  readonly #sink: SessionSink;
  readonly #clock: Clock;
  readonly #sender: Sender;
  readonly #reader: FrameReader;
  readonly #budget: WindowBudget;
  readonly #resumeWindowMs: number;
  readonly #keeps: boolean;
  readonly #maxStreams: number;
  readonly #streams = new Map<number, Stream>();
  /** Ids of the streams that were opened here while there was no link and that the peer has not answered yet. */
  readonly #waiting = new Set<number>();
  #ended = false;
  #detachedTimer: Timer | undefined;
  #nextId: number;
  #lastPeerId: number;
  #receiving: Stream | undefined;
  /** Hellos under way that told the peer how much was received. */
  #offers = 0;
  /** Bytes that the old link brought after the hello, and that the new one brings again. */
  #repeated = 0;

  constructor(options: SessionOptions) {
    this.role = options.role;
    this.#sink = options.sink;
    this.#clock = options.clock ?? systemClock;
    this.#keeps = options.keepForReplay ?? true;
    this.#sender = new Sender({
      pool: options.pool,
      clock: this.#clock,
      keepForReplay: this.#keeps,
      replayBytes: options.replayBytes ?? 16 * 1024 * 1024,
      replayBudget: options.replayBudget,
      queueBytes: options.queueBytes ?? 1024 * 1024,
      onViolation: (reason, code) => this.onViolation(reason, code),
    });
    this.#reader = new FrameReader(this);
    this.#budget = new WindowBudget(64 * 1024 * 1024, options.windowBudget);
    this.#resumeWindowMs = options.resumeWindowMs ?? 60_000;
    this.#maxStreams = options.maxStreams ?? LIMITS.streams;
    this.#nextId = this.role === 'relay' ? 1 : 2;
    this.#lastPeerId = this.role === 'relay' ? 0 : -1;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Streams that were opened while there was no link, until they are answered over one. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get link(): Link | undefined {
    return this.#sender.link;
  }

  /** Session bytes received so far: what a resume tells the peer. */
  get receivedBytes(): number {
    return this.#sender.acks.received;
  }

  /**
   * The count that a hello tells the peer. Until `settleResume` nothing is acknowledged: the old link may still live,
   * and what the peer drops now it could not send again on the new one.
   */
  offerResume(): number {
    this.#offers += 1;
    this.#sender.acks.hold();
    return this.#sender.acks.received;
  }

  /** The hello came to something or not. */
  settleResume(): void {
    this.#offers -= 1;
    this.#releaseAcks();
  }

  #releaseAcks(): void {
    if (this.#offers === 0 && this.#repeated === 0) this.#sender.acks.release();
  }

  /** Sent and not acknowledged. */
  get unackedBytes(): number {
    return this.#sender.unackedBytes;
  }

  /** Kept in memory for the peer: waiting, or sent and not acknowledged. */
  get queuedBytes(): number {
    return this.#sender.queuedBytes;
  }

  /**
   * Goes on over `link`; a link that was still there is fenced: destroyed, and nothing more is taken from it.
   * @param peerReceived session bytes that the peer has; all after them is sent again.
   * @returns false when that count cannot be; the session is over then.
   */
  attach(link: Link, peerReceived: number): boolean {
    if (this.#ended) return false;
    this.#letGo()?.destroy();
    if (!this.#sender.attach(link, peerReceived)) {
      link.handTo(NOBODY);
      link.endWith('SESSION_RANGE', 'bytes that are gone or were never sent');
      this.destroy(new TunlError('SESSION_RANGE'));
      return false;
    }
    this.#detachedTimer?.cancel();
    this.#detachedTimer = undefined;
    const {acks} = this.#sender;
    const told = link.told ?? acks.received;
    acks.told(told);
    acks.hold();
    this.#repeated = acks.received - told;
    this.#releaseAcks();
    link.handTo(this);
    // Nobody is told a second time of a link that closed before it was handed over.
    if (link.closed) this.onClose(undefined);
    else this.#sender.scheduleFlush();
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
    if (this.#sender.link === undefined) this.#waiting.add(stream.id);
    this.#nextId += 2;
    payload[0] = kind;
    json.copy(payload, 1);
    this.#sender.sendFrame(FRAME.open, stream.id, payload);
    return stream;
  }

  /** A control message, in order with all others. */
  sendControl(message: object): void {
    const payload = encodeMessage(message);
    if (payload.length > LIMITS.controlBytes)
      throw new RangeError('a control message that no peer would take');
    this.#sender.sendFrame(FRAME.control, 0, payload);
  }

  /** Over for good, and the peer is told why; every stream is reset on both sides. Idempotent. */
  close(code = 'CLOSED', message = 'closed'): void {
    if (this.#ended) return;
    this.#sender.flush();
    this.#letGo()?.endWith(code, message);
    this.#end(undefined);
  }

  /** Over for good, at once. Idempotent. */
  destroy(error: TunlError): void {
    if (this.#ended) return;
    this.#letGo()?.destroy(error);
    this.#end(error);
  }

  /** The peer sent what it may not: it is told, and the session is over. */
  onViolation(reason: string, code: ViolationCode = 'PROTOCOL'): void {
    this.#letGo()?.endWith(code, reason);
    this.#end(new TunlError(code, {reason}));
  }

  /** The link is no longer this session's; what still comes from it is nobody's. */
  #letGo(): Link | undefined {
    const link = this.#sender.detach();
    link?.handTo(NOBODY);
    return link;
  }

  #end(error: TunlError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reader.stop();
    this.#detachedTimer?.cancel();
    for (const stream of [...this.#streams.values()]) stream.abandon('SESSION_ENDED');
    this.#streams.clear();
    this.#waiting.clear();
    this.#sender.end();
    this.#sink.onEnded(error);
  }

  // ── From the link ──

  onSegmentBytes(piece: Buffer): void {
    if (this.#repeated > 0) this.#skip(piece);
    else this.#read(piece);
  }

  #skip(piece: Buffer): void {
    const repeated = Math.min(this.#repeated, piece.length);
    this.#repeated -= repeated;
    // What was read from the old link is acknowledged as soon as the peer has sent it on this one.
    this.#releaseAcks();
    if (repeated < piece.length) this.#read(piece.subarray(repeated));
  }

  #read(piece: Buffer): void {
    this.#sender.acks.count(piece.length);
    try {
      this.#reader.push(piece);
    } catch (error) {
      // The rest of the piece is counted and was not read: there is nothing to go on from.
      this.destroy(toTunlError(error));
    }
    if (!this.#ended) this.#sender.acknowledgeSoon();
  }

  onAck(count: number): void {
    if (!this.#sender.acknowledged(count))
      this.onViolation(`an ack of ${count} bytes, which cannot be`, 'ACK_RANGE');
  }

  onDrain(): void {
    this.#sender.drained();
  }

  onMessage(message: LinkMessage): void {
    switch (message.type) {
      case 'goaway':
        this.#sink.onGoaway?.(message);
        return;
      case 'close': {
        this.#letGo()?.end();
        const orderly = message.code === 'CLOSED';
        this.#end(orderly ? undefined : closeError(message.code, message.message));
        return;
      }
      default:
        this.onViolation(`a ${message.type} message inside a session`);
    }
  }

  onClose(error: Error | undefined): void {
    this.#sender.detach();
    if (this.#ended) return;
    if (!this.#keeps || this.#resumeWindowMs === 0) {
      this.#end(new TunlError('RELAY_LOST', {cause: error}));
      return;
    }
    this.#detachedTimer = this.#clock.after(this.#resumeWindowMs, () =>
      this.destroy(new TunlError('RESUME_EXPIRED')),
    );
    this.#sink.onDetached?.(error);
  }

  // ── From the frame reader ──

  onDataStart(streamId: number, length: number): boolean {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (!this.#wasOpened(streamId))
        this.onViolation(`data on stream ${streamId}, which was never opened`, 'STREAM_UNKNOWN');
      return false;
    }
    if (!stream.receiveDataStart(length)) {
      const code = stream.mayReceive ? 'WINDOW_EXCEEDED' : 'STREAM_STATE';
      this.onViolation(`${length} bytes on stream ${streamId} in state ${stream.state}`, code);
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
      this.onViolation(
        `stream id ${streamId} is not the peer’s to open, or was used before`,
        'STREAM_REUSED',
      );
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
      if (!this.#wasOpened(streamId))
        this.onViolation(`stream ${streamId} was never opened`, 'STREAM_UNKNOWN');
      return;
    }
    if (!this.#deliver(stream, type, payload)) {
      const code = type === FRAME.credit ? 'CREDIT_RANGE' : 'STREAM_STATE';
      this.onViolation(`a frame of type ${type} on stream ${streamId} in state ${stream.state}`, code);
    }
  }

  #deliver(stream: Stream, type: number, payload: Buffer): boolean {
    switch (type) {
      case FRAME.credit:
        return stream.receiveCredit(payload.readUInt32BE());
      case FRAME.opened:
        if (this.#waiting.size > 0) this.#waiting.delete(stream.id);
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
    this.#sender.sendData(stream, chunk);
  }

  adoptBlock(stream: Stream, block: Block, end: number): void {
    this.#sender.adoptBlock(stream, block, end);
  }

  sendFin(stream: Stream): void {
    this.#sender.sendFin(stream);
  }

  sendShort(
    stream: Stream,
    event: 'sendOpened' | 'sendRefused' | 'sendReset',
    code: StreamCode = 'CANCELLED',
  ): void {
    if (event === 'sendOpened') this.#sender.sendFrame(FRAME.opened, stream.id, NOTHING);
    else this.#sendCode(event === 'sendReset' ? FRAME.reset : FRAME.refused, stream.id, code);
  }

  sendCredit(stream: Stream, bytes: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(bytes);
    this.#sender.sendFrame(FRAME.credit, stream.id, payload);
  }

  mayWrite(stream: Stream): boolean {
    return this.#sender.mayWrite(stream);
  }

  await(stream: Stream): void {
    this.#sender.await(stream);
  }

  forget(stream: Stream): void {
    this.#streams.delete(stream.id);
    if (this.#waiting.size > 0) this.#waiting.delete(stream.id);
    this.#sender.forget(stream);
    if (this.#receiving === stream) this.#receiving = undefined;
  }

  now(): number {
    return this.#clock.now();
  }

  growWithinMs(): number {
    return growWithinMs(this.#sender.link);
  }

  soon(fn: () => void): void {
    this.#clock.soon(fn);
  }

  #addStream(id: number, kind: StreamKind, state: 'opening' | 'offered'): Stream {
    const window = new ReceiveWindow(this.#budget, this.#clock.now());
    const stream = new Stream(this, id, kind, state, window);
    this.#streams.set(id, stream);
    return stream;
  }

  #sendCode(type: FrameType, streamId: number, code: StreamCode): void {
    this.#sender.sendFrame(type, streamId, encodeMessage({code}));
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
  const violation = VIOLATION_CODES.find((each) => each === code);
  if (violation !== undefined) return new TunlError(violation, {reason: message});
  switch (code) {
    case 'SESSION_RANGE':
    case 'TAKEN_OVER':
    case 'RELAY_BUSY':
    case 'TOKEN_WRONG':
      return new TunlError(code, {reason: message});
    default:
      return new TunlError('RELAY_LOST', {reason: message});
  }
}
