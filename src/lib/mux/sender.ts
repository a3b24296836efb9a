// The sending side of a session: which frame goes out when, over the link of the moment; who may write on; what is
// acknowledged. What the frames mean is the session's affair.

import type {Clock} from '../core/clock.js';
import {FRAME, FRAME_HEADER, type FrameType, type ViolationCode, writeFrameHeader} from '../protocol/wire.js';
import {Acks} from './acks.js';
import type {Block, BlockPool} from './blocks.js';
import {BulkPace} from './bulk-pace.js';
import {AT_ONCE, FlushSchedule, THIS_TURN, type When, whenFor} from './flush-schedule.js';
import type {Link} from './link.js';
import {HEADER_ROOM, type LaneName, Outbox, type SendSegment} from './outbox.js';
import {Quiet} from './quiet.js';
import {ReplayBound} from './replay-bound.js';
import type {ReplayBudget} from './replay-budget.js';
import type {Stream} from './stream.js';

/** Bulk streams woken at a time: each is expected to bring one read of this size. */
const READ_BYTES = 64 * 1024;
/** Urgent frames that wait: beyond it the peer does not read, and the session ends. */
const MAX_URGENT_BYTES = 32 * 1024 * 1024;
/** Urgent frames pass a full carrier up to here. */
const MAX_CARRIER_BYTES = 2 * 1024 * 1024;

export interface SenderOptions {
  pool: BlockPool;
  clock: Clock;
  keepForReplay: boolean;
  replayBytes: number;
  /** Of all sessions of this process together. */
  replayBudget: ReplayBudget | undefined;
  queueBytes: number;
  /** The peer leaves the session no way to go on. */
  onViolation: (reason: string, code: ViolationCode) => void;
}

const NOTHING = Buffer.alloc(0);

export class Sender {
  /** What the peer is told of the other direction. */
  readonly acks: Acks;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #keeps: boolean;
  readonly #bound: ReplayBound;
  readonly #queueBytes: number;
  readonly #onViolation: SenderOptions['onViolation'];
  readonly #waiting = new Set<Stream>();
  readonly #pace = new BulkPace();
  readonly #quiet = new Quiet();
  readonly #schedule: FlushSchedule;
  #link: Link | undefined;
  #ended = false;
  /** The carrier said to hold back; `drained` takes that back. */
  #full = false;
  /** One bulk segment goes out after each drain, even if urgent frames have filled the carrier again: they must not starve it. */
  #bulkDue = false;
  #wakeScheduled = false;

  constructor(options: SenderOptions) {
    this.#clock = options.clock;
    this.#keeps = options.keepForReplay;
    this.#outbox = new Outbox(options.pool, {keepForReplay: options.keepForReplay});
    this.#bound = new ReplayBound(options.replayBytes, options.replayBudget);
    this.#queueBytes = options.queueBytes;
    this.#onViolation = options.onViolation;
    this.#schedule = new FlushSchedule(options.clock, () => this.flush());
    this.acks = new Acks({
      clock: options.clock,
      onDue: () => this.#sendAck(),
      onOverdue: () => this.#onViolation('the peer does not acknowledge what it receives', 'ACK_OVERDUE'),
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

  /** Goes on over `link` from the byte after those that the peer has. False when that count cannot be; nothing has changed then. */
  attach(link: Link, peerReceived: number): boolean {
    if (!this.#outbox.rewind(peerReceived)) return false;
    this.#bound.tell(this.#outbox.unackedBytes);
    this.acks.expectNothing();
    this.#link = link;
    this.#full = false;
    return true;
  }

  /** Without a link everything waits. */
  detach(): Link | undefined {
    const link = this.#link;
    this.#link = undefined;
    this.acks.expectNothing();
    return link;
  }

  /** Over: everything that was kept is given back. */
  end(): void {
    this.#ended = true;
    this.acks.end();
    this.#waiting.clear();
    this.#outbox.clear();
    this.#bound.end();
  }

  /** As much is kept for replay as may be. */
  #atBound(): boolean {
    return this.#bound.isReached(this.#outbox.unackedBytes);
  }

  /** The carrier has room again. */
  drained(): void {
    this.#full = false;
    this.#bulkDue = true;
    this.flush();
  }

  // ── Frames ──

  sendFrame(type: FrameType, streamId: number, payload: Buffer, lane: LaneName = 'urgent'): void {
    if (this.#ended) return;
    const place = this.#outbox.claim(lane, FRAME_HEADER + payload.length);
    writeFrameHeader(place.buffer, place.at, type, streamId, payload.length);
    payload.copy(place.buffer, place.at + FRAME_HEADER);
    this.#schedule.wrote(whenFor(type));
  }

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
    else this.#pace.small(this.#outbox.bulkMark - stream.bulkMark, this.#clock.now());
    this.#schedule.wrote(AT_ONCE);
  }

  adoptBlock(stream: Stream, block: Block, end: number): void {
    writeFrameHeader(block.buffer, HEADER_ROOM, FRAME.data, stream.id, end - HEADER_ROOM - FRAME_HEADER);
    this.#outbox.adopt(block, end);
    stream.bulkMark = this.#outbox.bulkMark;
    this.#schedule.wrote(AT_ONCE);
  }

  sendFin(stream: Stream): void {
    this.sendFrame(FRAME.fin, stream.id, NOTHING, this.#laneBehindData(stream));
  }

  /** The reset of a stream whose data must arrive. */
  sendLastReset(stream: Stream, payload: Buffer): void {
    this.sendFrame(FRAME.reset, stream.id, payload, this.#laneBehindData(stream));
  }

  #laneBehindData(stream: Stream): LaneName {
    return this.#outbox.bulkIsWaiting(stream.bulkMark) ? 'bulk' : 'urgent';
  }

  // ── Who may write ──

  mayWrite(stream: Stream): boolean {
    if (this.#link === undefined || this.#atBound()) return false;
    if (!this.#crowded()) return true;
    // Only what would go to the urgent lane may still come.
    if (this.#outbox.bulkIsWaiting(stream.bulkMark) || !this.#quiet.includes(stream, 1)) return false;
    return this.#outbox.urgentBytes < MAX_CARRIER_BYTES;
  }

  await(stream: Stream): void {
    this.#waiting.add(stream);
    this.#scheduleWake();
  }

  forget(stream: Stream): void {
    this.#waiting.delete(stream);
  }

  /** Small frames of quiet streams overtake bulk; a stream's own order is kept. */
  #laneFor(stream: Stream, length: number): LaneName {
    if (this.#outbox.bulkIsWaiting(stream.bulkMark) || !this.#quiet.includes(stream, length)) return 'bulk';
    stream.urgentBytes += length;
    return 'urgent';
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
    if (this.#ended || this.#link === undefined || this.#atBound()) return;
    let room = this.#queueBytes - this.#queued();
    for (const stream of this.#waiting) {
      if (room <= 0) break;
      this.#waiting.delete(stream);
      stream.wake();
      room -= READ_BYTES;
    }
    this.#scheduleWake();
  }

  // ── Sending ──

  scheduleFlush(when: When = AT_ONCE): void {
    this.#schedule.flush(when);
  }

  /** Hands the carrier what it takes. */
  flush(): void {
    this.#schedule.begun();
    if (this.#ended) return;
    if (this.#outbox.urgentBytes > MAX_URGENT_BYTES) {
      this.#onViolation('the peer leaves too much unread', 'PEER_NOT_READING');
      return;
    }
    if (this.#link === undefined) return;
    const now = this.#clock.now();
    const keepsUp = !this.#full;
    if (this.#outbox.unackedBytes === 0) this.#link.measure(now);
    const allWent = this.#sendWaiting(this.#link, now);
    this.#quiet.flushed(allWent ? 'done' : keepsUp ? 'keeps-up' : 'behind', now, this.#outbox.sealedBytes);
    this.#bound.tell(this.#outbox.unackedBytes);
    if (this.#keeps && this.#atBound()) this.acks.expect();
    this.#scheduleWake();
    if (this.acks.pressing) this.#sendAck();
  }

  /** Returns whether all of it went out. */
  #sendWaiting(link: Link, now: number): boolean {
    const outbox = this.#outbox;
    const mostBulk = Math.min(this.#bound.bytes, this.#pace.limit(now, link.rttMs));
    while (!this.#full && outbox.unsent) outbox.sendNext(this.#sendSegment);
    if (outbox.unsent || this.#atBound()) return false;
    if (!this.#full || link.carrier.bufferedBytes < MAX_CARRIER_BYTES) {
      outbox.sealUrgent();
      while (outbox.unsent) outbox.sendNext(this.#sendSegment);
    }
    // Never past urgent frames that wait: they may be of the same stream.
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

  /** What came has been read: the peer is told in time. */
  acknowledgeSoon(): void {
    if (this.acks.pressing) this.scheduleFlush(THIS_TURN);
    else this.acks.later();
  }

  /** The peer has the first `count` session bytes. False when that cannot be. */
  acknowledged(count: number): boolean {
    const before = this.#outbox.ackedBytes;
    if (!this.#outbox.acknowledge(count)) return false;
    this.#bound.tell(this.#outbox.unackedBytes);
    if (count > before) {
      this.acks.expectNothing();
      this.#pace.acknowledged(count - before, this.#clock.now(), this.#link?.rttMs ?? 0);
    }
    // It may have waited for this ack.
    if (this.#bound.takeHeldBack() || this.#outbox.waitingBytes > 0) this.scheduleFlush(THIS_TURN);
    this.#scheduleWake();
    return true;
  }

  #sendAck(): void {
    const count = this.acks.take();
    if (count !== undefined) this.#link?.sendAck(count);
  }
}
