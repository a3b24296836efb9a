// The sending side of a session: decides the order of frames over the current link and which streams may write, and handles
// acks. It does not know what frames mean.

import type {Clock} from '../core/clock.js';
import {FRAME, FRAME_HEADER, type FrameType, type ViolationCode, writeFrameHeader} from '../protocol/wire.js';
import {Acks} from './acks.js';
import type {Block, BlockPool} from './blocks.js';
import {BulkPace} from './bulk-pace.js';
import {DeadStreams} from './dead-streams.js';
import {AT_ONCE, FlushSchedule, THIS_TURN, type When, whenFor} from './flush-schedule.js';
import {HEADER_ROOM} from './lane.js';
import type {Link} from './link.js';
import {type LaneName, Outbox, type SendSegment} from './outbox.js';
import {isProvoked, Provoked} from './provoked.js';
import {Quiet} from './quiet.js';
import {ReplayBound} from './replay-bound.js';
import type {ReplayBudget} from './replay-budget.js';
import type {Stream} from './stream.js';
import {WriteTurns} from './write-turns.js';

/** Urgent frames may exceed a full carrier up to this amount. */
const MAX_CARRIER_BYTES = 2 * 1024 * 1024;
/** When this multiple of `queueBytes` waits, all sources must stop, not only those with new data. */
const HOLD_ALL_AT = 4;

export interface SenderOptions {
  pool: BlockPool;
  clock: Clock;
  keepForReplay: boolean;
  replayBytes: number;
  /** The shared budget of all sessions of this process. */
  replayBudget: ReplayBudget | undefined;
  queueBytes: number;
  /** All sources must stop; each stream is woken by `wake` when it may write again. */
  onHold: () => void;
  /** The bulk mark of a stream has changed. */
  onMark: (streamId: number, mark: number) => void;
  /** The peer's behaviour makes it impossible to continue the session. */
  onViolation: (reason: string, code: ViolationCode) => void;
}

const NOTHING = Buffer.alloc(0);

export class Sender {
  /** The acks for the other direction. */
  readonly acks: Acks;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #keeps: boolean;
  readonly #bound: ReplayBound;
  readonly #queueBytes: number;
  readonly #holdAllAt: number;
  readonly #options: SenderOptions;
  readonly #turns: WriteTurns;
  readonly #dead = new DeadStreams();
  readonly #provoked: Provoked;
  readonly #pace = new BulkPace();
  readonly #quiet = new Quiet();
  readonly #schedule: FlushSchedule;
  #link: Link | undefined;
  #ended = false;
  /** The carrier is full until `drained` is called. */
  #full = false;
  /** One bulk segment goes out after each drain, even if urgent frames fill the carrier again: they must not starve bulk. */
  #bulkDue = false;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#keeps = options.keepForReplay;
    this.#outbox = new Outbox(options.pool, {keepForReplay: options.keepForReplay});
    this.#bound = new ReplayBound(options.replayBytes, options.replayBudget);
    this.#queueBytes = options.queueBytes;
    this.#holdAllAt = HOLD_ALL_AT * options.queueBytes;
    this.#provoked = new Provoked({
      clock: options.clock,
      onNotReading: () => options.onViolation('the peer leaves too much unread', 'PEER_NOT_READING'),
    });
    this.#turns = new WriteTurns({
      clock: options.clock,
      isQuiet: (stream) => this.#isQuiet(stream),
      room: () => this.#room(),
    });
    const isBusy = () => this.#link !== undefined && this.#link.carrier.bufferedBytes > 0;
    this.#schedule = new FlushSchedule(options.clock, () => this.flush(), isBusy);
    this.acks = new Acks({
      clock: options.clock,
      onDue: () => this.#sendAck(),
      onOverdue: () => options.onViolation('the peer does not acknowledge what it receives', 'ACK_OVERDUE'),
    });
  }

  get link(): Link | undefined {
    return this.#link;
  }

  get unackedBytes(): number {
    return this.#outbox.unackedBytes;
  }

  get ackedBytes(): number {
    return this.#outbox.ackedBytes;
  }

  get queuedBytes(): number {
    return this.#outbox.waitingBytes + this.#outbox.unackedBytes;
  }

  // ── The link ──

  /** Continues over `link` after the bytes that the peer has. Returns false, and changes nothing, when that count is impossible. */
  attach(link: Link, peerReceived: number): boolean {
    if (!this.#outbox.rewind(peerReceived)) return false;
    this.#bound.tell(this.queuedBytes);
    this.acks.expectNothing();
    this.#link = link;
    this.#full = false;
    this.#provoked.attach(link);
    return true;
  }

  /** The link is gone: everything waits. */
  detach(): Link | undefined {
    const link = this.#link;
    this.#link = undefined;
    this.acks.expectNothing();
    this.#provoked.detach();
    // All sources stop now, or their bytes would pile up until the next link.
    if (link !== undefined) this.#options.onHold();
    return link;
  }

  /** The session is over: all kept blocks go back to the pool. */
  end(): void {
    this.#ended = true;
    this.acks.end();
    this.#provoked.end();
    this.#turns.clear();
    this.#outbox.clear();
    this.#bound.end();
  }

  /** True when the limit for replay is reached. */
  #atBound(): boolean {
    return this.#bound.isReached(this.#outbox.unackedBytes);
  }

  /** The carrier has room again. */
  drained(): void {
    this.#full = false;
    this.#bulkDue = true;
    // The kernel takes bytes, so the peer reads.
    this.#provoked.acknowledged();
    this.flush();
  }

  // ── Frames ──

  sendFrame(type: FrameType, streamId: number, payload: Buffer, lane: LaneName = 'urgent'): void {
    if (this.#ended) return;
    const place = this.#outbox.claim(lane, FRAME_HEADER + payload.length);
    writeFrameHeader(place.buffer, place.at, type, streamId, payload.length);
    payload.copy(place.buffer, place.at + FRAME_HEADER);
    if (isProvoked(type)) this.#provoked.add(FRAME_HEADER + payload.length);
    this.#schedule.wrote(whenFor(type));
  }

  sendData(stream: Stream, chunk: Buffer): void {
    const lane = this.#laneFor(stream, chunk.length);
    const before = this.#outbox.waitingBytes;
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
    else this.#pace.small(this.#outbox.bulkMark - stream.bulkMark, this.#clock);
    this.#wroteData(before);
  }

  adoptBlock(stream: Stream, block: Block, end: number): void {
    writeFrameHeader(block.buffer, HEADER_ROOM, FRAME.data, stream.id, end - HEADER_ROOM - FRAME_HEADER);
    const before = this.#outbox.waitingBytes;
    this.#outbox.adopt(block, end);
    stream.bulkMark = this.#outbox.bulkMark;
    this.#wroteData(before);
  }

  /** @param before the bytes that waited before that data. */
  #wroteData(before: number): void {
    if (before <= this.#holdAllAt && this.#outbox.waitingBytes > this.#holdAllAt) this.#options.onHold();
    this.#schedule.wrote(AT_ONCE);
  }

  sendFin(stream: Stream): void {
    const lane = this.#laneBehindData(stream);
    this.sendFrame(FRAME.fin, stream.id, NOTHING, lane);
    // A reset that follows must not overtake the end when the data has left and the end has not.
    if (lane === 'bulk') stream.bulkMark = this.#outbox.bulkMark;
  }

  /** Sends the reset of a stream whose data must arrive first. */
  sendLastReset(stream: Stream, payload: Buffer): void {
    this.sendFrame(FRAME.reset, stream.id, payload, this.#laneBehindData(stream));
  }

  #laneBehindData(stream: Stream): LaneName {
    return this.#outbox.bulkIsWaiting(stream.bulkMark) ? 'bulk' : 'urgent';
  }

  /** The stream is dead on one side: its waiting frames need not be sent. */
  drop(stream: Stream): void {
    this.#turns.delete(stream);
    const {urgentBytes, waitingBytes} = this.#outbox;
    if (urgentBytes === 0 && !this.#outbox.bulkIsWaiting(stream.bulkMark)) return;
    this.#dead.add(stream.id, stream.bytesOut);
    if (!this.#dead.areMany(waitingBytes)) return;
    const keep = this.#dead.keeper();
    let provoked = 0;
    this.#outbox.drop((type, streamId, length) => {
      const stays = keep(type, streamId, length);
      if (stays && isProvoked(type)) provoked += length;
      return stays;
    }, this.#options.onMark);
    this.#provoked.fellTo(provoked);
    this.#dead.forget();
    this.#bound.tell(this.queuedBytes);
  }

  // ── Permission to write ──

  mayWrite(stream: Stream): boolean {
    if (this.#link === undefined || this.#atBound()) return false;
    if (!this.#isQueueFull()) return true;
    // Only frames for the urgent lane may still come.
    return this.#isQuiet(stream) && this.#roomForQuiet() > 0;
  }

  wakeLater(stream: Stream): void {
    this.#turns.add(stream);
  }

  forget(stream: Stream): void {
    this.#turns.delete(stream);
  }

  #isQuiet(stream: Stream): boolean {
    return !this.#outbox.bulkIsWaiting(stream.bulkMark) && this.#quiet.includes(stream, 1);
  }

  #room(): {quiet: number; any: number} {
    if (this.#ended || this.#link === undefined || this.#atBound()) return {quiet: 0, any: 0};
    return {
      quiet: this.#roomForQuiet(),
      any: this.#isQueueFull() ? 0 : Math.max(1, this.#queueBytes - this.#queued()),
    };
  }

  #roomForQuiet(): number {
    const {urgentBytes, waitingBytes} = this.#outbox;
    return Math.min(MAX_CARRIER_BYTES - urgentBytes, this.#holdAllAt - waitingBytes);
  }

  /** Small frames of quiet streams overtake bulk. The order within a stream is kept. */
  #laneFor(stream: Stream, length: number): LaneName {
    if (this.#outbox.bulkIsWaiting(stream.bulkMark) || !this.#quiet.includes(stream, length)) return 'bulk';
    stream.urgentBytes += length;
    return 'urgent';
  }

  #queued(): number {
    return this.#outbox.waitingBytes + (this.#link?.carrier.bufferedBytes ?? 0);
  }

  #isQueueFull(): boolean {
    if (this.#queued() < this.#queueBytes) return false;
    // An event must tell when there is room again: a drain, an ack, or the flush of the waiting frames.
    return this.#full || this.#outbox.unackedBytes > 0 || this.#outbox.waitingBytes > 0;
  }

  // ── Sending ──

  scheduleFlush(when: When = AT_ONCE): void {
    this.#schedule.flush(when);
  }

  /** Sends as much as the carrier takes. */
  flush(): void {
    this.#schedule.begun();
    if (this.#ended) return;
    this.#bound.tell(this.queuedBytes);
    if (this.#link === undefined) return;
    const now = this.#clock.now();
    const keepsUp = !this.#full;
    if (this.#outbox.unackedBytes === 0) this.#link.measure(now);
    const allWent = this.#sendWaiting(this.#link, now);
    this.#quiet.flushed(allWent ? 'done' : keepsUp ? 'keeps-up' : 'behind', now, this.#outbox.sealedBytes);
    if (this.#outbox.waitingBytes === 0) this.#dead.forget();
    this.#bound.tell(this.queuedBytes);
    if (this.#keeps && this.#atBound()) this.acks.expect();
    this.#turns.schedule();
    if (this.acks.pressing) this.#sendAck();
  }

  /** Returns true when everything was sent. */
  #sendWaiting(link: Link, now: number): boolean {
    const outbox = this.#outbox;
    const mostBulk = Math.min(this.#bound.bytes, this.#pace.limit(now, link.rttMs));
    while (!this.#full && outbox.unsent) outbox.sendNext(this.#sendSegment);
    if (outbox.unsent || this.#atBound()) return false;
    if (!this.#full || link.carrier.bufferedBytes < MAX_CARRIER_BYTES) {
      outbox.sealUrgent();
      this.#provoked.fellTo(0);
      while (outbox.unsent) outbox.sendNext(this.#sendSegment);
    }
    // Bulk never overtakes waiting urgent frames, because they may belong to the same stream.
    while (outbox.urgentBytes === 0 && (!this.#full || this.#bulkDue)) {
      if (this.#atBound() || outbox.unackedBytes >= mostBulk || !outbox.sealBulk()) break;
      this.#bulkDue = false;
      outbox.sendNext(this.#sendSegment);
    }
    return outbox.waitingBytes === 0;
  }

  readonly #sendSegment: SendSegment = (buffer, start, end, written) => {
    const go = this.#link?.sendSegment(buffer, start, end, this.acks.take(), written) ?? false;
    if (!go) this.#full = true;
    return go;
  };

  // ── Acks ──

  /** Input was read: an ack goes out in time. */
  acknowledgeSoon(): void {
    if (this.acks.pressing) this.scheduleFlush(THIS_TURN);
    else this.acks.later();
  }

  /** The peer has the first `count` session bytes. Returns false when that is impossible. */
  acknowledged(count: number): boolean {
    const before = this.#outbox.ackedBytes;
    if (!this.#outbox.acknowledge(count)) return false;
    this.#bound.tell(this.queuedBytes);
    if (count > before) {
      this.#provoked.acknowledged();
      this.acks.expectNothing();
      this.#pace.acknowledged(count - before, this.#clock.now(), this.#link?.rttMs ?? 0);
    }
    // Frames may have waited for this ack.
    if (this.#bound.takeHeldBack() || this.#outbox.waitingBytes > 0) this.scheduleFlush(THIS_TURN);
    this.#turns.schedule();
    return true;
  }

  #sendAck(): void {
    const count = this.acks.take();
    if (count !== undefined) this.#link?.sendAck(count);
  }
}
