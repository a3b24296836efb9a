// The streams of a session: either side opens them, and the peer's frames reach them by their ids.

import type {Clock} from '../core/clock.js';
import {encodeMessage, readRefusal, readStreamCode} from '../protocol/control-messages.js';
import {
  FRAME,
  type FrameType,
  KIND,
  LIMITS,
  type StreamCode,
  type StreamKind,
  type ViolationCode,
} from '../protocol/wire.js';
import type {Block} from './blocks.js';
import type {FrameSink} from './frame-reader.js';
import {growWithinMs} from './link.js';
import type {Sender} from './sender.js';
import {Stream, type StreamHost} from './stream.js';
import {type SessionRole, StreamIds} from './stream-ids.js';
import {StreamTable} from './stream-table.js';
import {ReceiveWindow} from './window.js';
import type {WindowBudget} from './window-budget.js';

export interface StreamsSink {
  /** The peer opened a stream. Set its sink, then accept or refuse it, now or later. `about` is the OPEN's JSON. */
  onOpen(stream: Stream, about: Buffer): void;
  onControl(payload: Buffer): void;
}

/** The parts of the sender that streams use. */
type Sending = Pick<
  Sender,
  | 'link'
  | 'sendFrame'
  | 'sendData'
  | 'adoptBlock'
  | 'sendFin'
  | 'sendLastReset'
  | 'mayWrite'
  | 'wakeLater'
  | 'forget'
  | 'drop'
>;

export interface StreamsOptions {
  role: SessionRole;
  sink: StreamsSink;
  sender: Sending;
  clock: Clock;
  windowBudget: WindowBudget;
  /** Streams open at once. */
  maxStreams: number;
  onViolation: (reason: string, code?: ViolationCode) => void;
}

const NOTHING = Buffer.alloc(0);

export class Streams implements StreamHost, FrameSink {
  readonly #sink: StreamsSink;
  readonly #sender: Sending;
  readonly #clock: Clock;
  readonly #budget: WindowBudget;
  readonly #maxStreams: number;
  readonly #onViolation: StreamsOptions['onViolation'];
  readonly #ids: StreamIds;
  readonly #all = new StreamTable();
  /** Ids of the streams that this side opened without a link and that the peer has not answered yet. */
  readonly #waiting = new Set<number>();
  /** The stream of the DATA frame that is being read. */
  #receiving: Stream | undefined;

  constructor(options: StreamsOptions) {
    this.#sink = options.sink;
    this.#sender = options.sender;
    this.#clock = options.clock;
    this.#budget = options.windowBudget;
    this.#maxStreams = options.maxStreams;
    this.#onViolation = options.onViolation;
    this.#ids = new StreamIds(options.role);
  }

  get size(): number {
    return this.#all.size;
  }

  /** The number of streams of visitors. */
  get visitorCount(): number {
    return this.#all.all().filter(({kind, isProbe}) => kind === KIND.visitor && !isProbe).length;
  }

  /** The number of streams that were opened without a link and not answered yet. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Opens a stream; its first bytes may follow at once. Undefined: the limit of open streams is reached, or all ids are used. */
  open(kind: StreamKind, about: object): Stream | undefined {
    if (this.#all.size >= this.#maxStreams) return undefined;
    const json = encodeMessage(about);
    const payload = Buffer.allocUnsafe(1 + json.length);
    if (payload.length > LIMITS.openBytes) throw new RangeError('an OPEN that no peer would take');
    payload[0] = kind;
    json.copy(payload, 1);
    const id = this.#ids.take();
    if (id === undefined) return undefined;
    const stream = this.#add(id, kind, 'opening');
    if (this.#sender.link === undefined) this.#waiting.add(id);
    this.#sender.sendFrame(FRAME.open, id, payload);
    return stream;
  }

  /** Stops all sources; each continues when it is its turn. */
  hold(): void {
    for (const stream of this.#all.all()) stream.hold();
  }

  /** The frames of a stream that wait in the bulk lane have a new mark. */
  remark(streamId: number, mark: number): void {
    const stream = this.#all.get(streamId);
    if (stream !== undefined) stream.bulkMark = mark;
  }

  /** The session is over: tells every stream. */
  abandon(): void {
    for (const stream of this.#all.all()) stream.abandon('SESSION_ENDED');
    this.#all.clear();
    this.#waiting.clear();
  }

  #add(id: number, kind: StreamKind, state: 'opening' | 'offered'): Stream {
    const window = new ReceiveWindow(this.#budget, this.#clock.now());
    const stream = new Stream(this, id, kind, state, window);
    this.#all.add(stream);
    return stream;
  }

  // ── From the peer ──

  onViolation(reason: string): void {
    this.#onViolation(reason);
  }

  onDataStart(streamId: number, length: number): boolean {
    const stream = this.#all.get(streamId);
    if (stream === undefined) {
      if (!this.#ids.wasOpened(streamId))
        this.#onViolation(`data on stream ${streamId}, which was never opened`, 'STREAM_UNKNOWN');
      return false;
    }
    if (!stream.receiveDataStart(length)) {
      const code = stream.mayReceive ? 'WINDOW_EXCEEDED' : 'STREAM_STATE';
      this.#onViolation(`${length} bytes on stream ${streamId} in state ${stream.state}`, code);
      return false;
    }
    if (!stream.makeRoom()) return false;
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
    if (!this.#ids.admit(streamId)) {
      const reason = `stream id ${streamId} is not the peer’s to open, or was used before`;
      this.#onViolation(reason, 'STREAM_REUSED');
      return;
    }
    const kind = Object.values(KIND).find((each) => each === payload[0]);
    if (kind === undefined || this.#all.size >= this.#maxStreams) {
      this.#sendCode(FRAME.refused, streamId, kind === undefined ? 'KIND_UNKNOWN' : 'TOO_MANY_STREAMS');
      return;
    }
    this.#sink.onOpen(this.#add(streamId, kind, 'offered'), payload.subarray(1));
  }

  #onStreamFrame(type: number, streamId: number, payload: Buffer): void {
    const stream = this.#all.get(streamId);
    if (stream === undefined) {
      // Frames that crossed with our reset, or with the last FIN.
      if (!this.#ids.wasOpened(streamId))
        this.#onViolation(`stream ${streamId} was never opened`, 'STREAM_UNKNOWN');
      return;
    }
    if (!this.#deliver(stream, type, payload)) {
      const code = type === FRAME.credit ? 'CREDIT_RANGE' : 'STREAM_STATE';
      this.#onViolation(`a frame of type ${type} on stream ${streamId} in state ${stream.state}`, code);
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
        return receiveRefused(stream, payload);
      case FRAME.fin:
        return stream.receive('receiveFin', 'CANCELLED');
      case FRAME.reset:
        return stream.receive('receiveReset', readStreamCode(payload));
      default:
        return false;
    }
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

  sendLastReset(stream: Stream, code: StreamCode): void {
    this.#sender.sendLastReset(stream, encodeMessage({code}));
  }

  sendOpened(stream: Stream): void {
    this.#sender.sendFrame(FRAME.opened, stream.id, NOTHING);
  }

  sendRefused(stream: Stream, code: StreamCode, message: string | undefined): void {
    this.#sendCode(FRAME.refused, stream.id, code, message?.slice(0, LIMITS.textCharacters));
  }

  sendReset(stream: Stream, code: StreamCode): void {
    this.#sendCode(FRAME.reset, stream.id, code);
  }

  sendCredit(stream: Stream, bytes: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(bytes);
    this.#sender.sendFrame(FRAME.credit, stream.id, payload);
  }

  #sendCode(type: FrameType, streamId: number, code: StreamCode, message?: string): void {
    this.#sender.sendFrame(type, streamId, encodeMessage({code, message}));
  }

  mayWrite(stream: Stream): boolean {
    return this.#sender.mayWrite(stream);
  }

  wakeLater(stream: Stream): void {
    this.#sender.wakeLater(stream);
  }

  drop(stream: Stream): void {
    this.#sender.drop(stream);
  }

  forget(stream: Stream): void {
    this.#all.delete(stream.id);
    if (this.#waiting.size > 0) this.#waiting.delete(stream.id);
    this.#sender.forget(stream);
    if (this.#receiving === stream) this.#receiving = undefined;
  }

  get linked(): boolean {
    return this.#sender.link !== undefined;
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
}

function receiveRefused(stream: Stream, payload: Buffer): boolean {
  const {code, message} = readRefusal(payload);
  return stream.receive('receiveRefused', code, message);
}
