// The multiplexer's state between one agent and one relay: it has at most one link at a time and outlives it. Without a link
// everything waits; on the next link it continues.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {errorForPeer, TunlError, toTunlError} from '../core/errors.js';
import {Moment} from '../core/moment.js';
import {encodeMessage} from '../protocol/control-messages.js';
import type {LinkMessage} from '../protocol/link-messages.js';
import {FRAME, LIMITS, type StreamKind, type ViolationCode} from '../protocol/wire.js';
import type {BlockPool} from './blocks.js';
import {closeError} from './close-error.js';
import {FrameReader} from './frame-reader.js';
import {type Link, type LinkSink, NOBODY} from './link.js';
import {Overlap} from './overlap.js';
import type {ReplayBudget} from './replay-budget.js';
import {Sender} from './sender.js';
import type {Stream} from './stream.js';
import type {SessionRole} from './stream-ids.js';
import {Streams, type StreamsSink} from './streams.js';
import {WindowBudget} from './window-budget.js';
import type {WorkLeft} from './work.js';

export interface SessionSink extends StreamsSink {
  /** The peer has announced that it will go away. */
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
  /**
   * Runs the end of a session whose resume window has passed, perhaps later: many sessions may have lost their links together.
   * Default: at once.
   */
  onExpiry?: (end: () => void) => void;
  /** The limit for unacknowledged bytes kept for replay; at the limit the local sockets are not read. Default 16 MiB. */
  replayBytes?: number;
  /** Shared limit of this process for bytes kept for replay. Default: only the limit of each session. */
  replayBudget?: ReplayBudget;
  /** With false nothing is kept, and a lost link ends the session: this measures the cost of replay. Default true. */
  keepForReplay?: boolean;
  /**
   * Local sockets are not read while this much waits for the peer, here and in the carrier. Default 1 MiB: with less, both
   * sides wait for each other.
   */
  queueBytes?: number;
  /** Shared limit for the growth of windows of several sessions; one session's windows grow by at most 64 MiB. */
  windowBudget?: WindowBudget;
  /** Streams open at once. Default LIMITS.streams. */
  maxStreams?: number;
}

export class Session implements LinkSink {
  readonly role: SessionRole;
  readonly #sink: SessionSink;
  readonly #clock: Clock;
  readonly #sender: Sender;
  readonly #reader: FrameReader;
  readonly #streams: Streams;
  readonly #overlap: Overlap;
  /** How long it waits for another link. */
  readonly resumeWindowMs: number;
  readonly #keeps: boolean;
  readonly #onExpiry: (end: () => void) => void;
  #ended = false;
  #detachedTimer: Timer | undefined;
  #detachedAt: number | undefined;
  readonly #allDelivered = new Moment();

  constructor(options: SessionOptions) {
    this.role = options.role;
    this.#sink = options.sink;
    this.#clock = options.clock ?? systemClock;
    this.#keeps = options.keepForReplay ?? true;
    this.#onExpiry = options.onExpiry ?? atOnce;
    this.#sender = new Sender({
      pool: options.pool,
      clock: this.#clock,
      keepForReplay: this.#keeps,
      replayBytes: options.replayBytes ?? 16 * 1024 * 1024,
      replayBudget: options.replayBudget,
      queueBytes: options.queueBytes ?? 1024 * 1024,
      onHold: () => this.#streams.hold(),
      onMark: (streamId, mark) => this.#streams.remark(streamId, mark),
      onViolation: (reason, code) => this.onViolation(reason, code),
    });
    this.#streams = new Streams({
      role: options.role,
      sink: options.sink,
      sender: this.#sender,
      clock: this.#clock,
      windowBudget: new WindowBudget(64 * 1024 * 1024, options.windowBudget),
      maxStreams: options.maxStreams ?? LIMITS.streams,
      onViolation: (reason, code) => this.onViolation(reason, code),
    });
    // Relays open a stream for each visitor; agents open few.
    const rare = options.role === 'relay' ? [FRAME.control, FRAME.open] : [FRAME.control];
    this.#reader = new FrameReader(this.#streams, rare);
    this.#overlap = new Overlap(this.#sender.acks);
    this.resumeWindowMs = options.resumeWindowMs ?? 60_000;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** The number of streams of visitors, without probes and streams of this program itself. Takes a look at each stream. */
  get visitorCount(): number {
    return this.#streams.visitorCount;
  }

  /** The number of streams that were opened without a link and not answered yet. */
  get waitingCount(): number {
    return this.#streams.waitingCount;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The time at which the link was lost, ms of the session's clock; undefined while there is a link. */
  get detachedAt(): number | undefined {
    return this.#detachedAt;
  }

  get link(): Link | undefined {
    return this.#sender.link;
  }

  /** Session bytes received so far. A resume tells this count to the peer. */
  get receivedBytes(): number {
    return this.#sender.acks.received;
  }

  /** The count for a hello. No ack goes out until `settleResume`. */
  offerResume(): number {
    return this.#overlap.offer();
  }

  /** The handshake has ended, with or without a new link. */
  settleResume(): void {
    this.#overlap.settle();
  }

  /** Bytes that were sent and are not acknowledged. */
  get unackedBytes(): number {
    return this.#sender.unackedBytes;
  }

  /** Bytes that were sent and are acknowledged. */
  get ackedBytes(): number {
    return this.#sender.ackedBytes;
  }

  /** Bytes in memory for the peer: they wait to be sent, or were sent and are not acknowledged. */
  get queuedBytes(): number {
    return this.#sender.queuedBytes;
  }

  /**
   * Continues over `link`. The old link, if there is one, is destroyed, and no byte of it is accepted any more.
   * @param peerReceived session bytes that the peer has; all bytes after them are sent again.
   * @returns false when that count is impossible; then the session is over.
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
    this.#detachedAt = undefined;
    this.#overlap.begin(link.told);
    link.handTo(this);
    // A link that closed before it was handed over reports its end only once.
    if (link.closed) this.onClose(undefined);
    else this.#sender.scheduleFlush();
    return true;
  }

  /** Opens a stream; its first bytes may follow at once. Undefined: too many streams are open, or the session is over. */
  open(kind: StreamKind, about: object): Stream | undefined {
    return this.#ended ? undefined : this.#streams.open(kind, about);
  }

  /** A control message, in order with all others. */
  sendControl(message: object): void {
    const payload = encodeMessage(message);
    if (payload.length > LIMITS.controlBytes)
      throw new RangeError('a control message that no peer would take');
    this.#sender.sendFrame(FRAME.control, 0, payload);
  }

  /** Resolves when the peer has acknowledged everything that was sent, or when there is no link. */
  async delivered(): Promise<void> {
    if (!this.#isDelivered) await this.#allDelivered.next();
  }

  get #isDelivered(): boolean {
    return this.link === undefined || this.queuedBytes === 0;
  }

  #tellDelivered(): void {
    if (this.#allDelivered.isAwaited && this.#isDelivered) this.#allDelivered.happen();
  }

  /** Ends the session for good and tells the peer why. Every stream is reset on both sides. Idempotent. */
  close(code = 'CLOSED', message = 'closed'): void {
    if (this.#ended) return;
    this.#sender.flush();
    this.#letGo()?.endWith(code, message);
    this.#end(undefined);
  }

  /** Ends the session for good, at once. Idempotent. */
  destroy(error: TunlError): void {
    if (this.#ended) return;
    this.#letGo()?.destroy(error);
    this.#end(error);
  }

  /** The peer broke the protocol: it is told so, and the session ends. */
  onViolation(reason: string, code: ViolationCode = 'PROTOCOL'): void {
    this.#letGo()?.endWith(code, reason);
    this.#end(new TunlError(code, {reason}));
  }

  /** Detaches the link; later bytes from it are ignored. */
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
    this.#streams.abandon();
    this.#sender.end();
    this.#tellDelivered();
    this.#sink.onEnded(error);
  }

  // ── From the link ──

  onSegmentBytes(piece: Buffer, work: WorkLeft): void {
    const fresh = this.#overlap.repeats ? this.#overlap.skip(piece) : piece;
    if (fresh !== undefined) this.#read(fresh, work);
  }

  #read(piece: Buffer, work: WorkLeft): void {
    let taken = piece.length;
    try {
      taken = this.#reader.push(piece, work);
    } catch (error) {
      // The rest of the piece is counted as received but was not read, so neither side can resume.
      this.#letGo()?.endWith('UNEXPECTED', 'an unexpected error at this end');
      this.#end(toTunlError(error));
    }
    work.unread = piece.length - taken;
    this.#sender.acks.count(taken);
    if (!this.#ended) this.#sender.acknowledgeSoon();
  }

  onAck(count: number): void {
    if (!this.#sender.acknowledged(count))
      this.onViolation(`an ack of ${count} bytes, which cannot be`, 'ACK_RANGE');
    this.#tellDelivered();
  }

  onDrain(): void {
    this.#sender.drained();
  }

  onMessage(message: LinkMessage): void {
    switch (message.type) {
      case 'goaway':
        this.#sink.onGoaway?.(message);
        return;
      case 'close':
        this.#letGo()?.end();
        this.#end(closeError(message.code, message.message));
        return;
      default:
        this.onViolation(`a ${message.type} message inside a session`);
    }
  }

  onClose(error: Error | undefined): void {
    this.#sender.detach();
    this.#tellDelivered();
    if (this.#ended) return;
    if (!this.#keeps || this.resumeWindowMs === 0) {
      this.#end(new TunlError('RELAY_LOST', {cause: error}));
      return;
    }
    this.#detachedAt = this.#clock.now();
    const timer = this.#clock.after(this.resumeWindowMs, () => {
      this.#onExpiry(() => {
        // The agent may have come back meanwhile.
        if (this.#detachedTimer === timer) this.destroy(errorForPeer('RESUME_EXPIRED'));
      });
    });
    this.#detachedTimer = timer;
    this.#sink.onDetached?.(error);
  }
}

function atOnce(end: () => void): void {
  end();
}
