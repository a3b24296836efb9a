// Random frames, right and wrong ones, against one session after the other, with random actions on this side in between.
// The numbers come from a seed, so a failure can be repeated.
import type {TunlError} from '../../src/lib/core/errors.js';
import type {BlockPool} from '../../src/lib/mux/blocks.js';
import type {Carrier, CarrierSink} from '../../src/lib/mux/carrier.js';
import {Link} from '../../src/lib/mux/link.js';
import {RecordReader} from '../../src/lib/mux/record-reader.js';
import {Session} from '../../src/lib/mux/session.js';
import {PAYLOAD_AT, type Stream} from '../../src/lib/mux/stream.js';
import {FRAME, KIND, RECORD} from '../../src/lib/protocol/wire.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {
  ack,
  control,
  credit,
  data,
  fin,
  frame,
  message,
  open,
  opened,
  ping,
  pong,
  record,
  refused,
  reset,
  segment,
} from './wire-bytes.js';

/** mulberry32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 ≤ x < below, whole. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

/** A clock that runs `soon` on request, so no turn of the event loop is needed. */
class FuzzClock extends ManualClock {
  #soon: (() => void)[] = [];

  override soon(fn: () => void): void {
    this.#soon.push(fn);
  }

  run(): void {
    for (const fn of this.#soon.splice(0)) fn();
  }
}

/** Accepts what is written, or for a while does not. */
class Hole implements Carrier {
  readonly label = 'fuzz';
  readonly headroom = 14;
  bufferedBytes = 0;
  /** Session bytes that were written. */
  sessionBytes = 0;
  readonly #reader = new RecordReader({
    onSegmentBytes: (piece) => {
      this.sessionBytes += piece.length;
    },
    onRecord() {},
    onViolation(reason) {
      throw new Error(`the session itself wrote ${reason}`);
    },
  });
  sink: CarrierSink | undefined;
  closed = false;
  #held: (() => void)[] = [];
  stuck = false;
  #full = false;

  start(sink: CarrierSink): void {
    this.sink = sink;
  }

  pause(): void {}

  resume(): void {}

  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    block.fill(0, start - this.headroom, start);
    this.#reader.push(block.subarray(start, end));
    if (this.closed || !this.stuck) {
      onWritten?.();
      return true;
    }
    this.bufferedBytes += end - start;
    if (onWritten !== undefined) this.#held.push(onWritten);
    this.#full = this.bufferedBytes > 256 * 1024;
    return !this.#full;
  }

  loosen(): void {
    this.stuck = false;
    this.bufferedBytes = 0;
    for (const onWritten of this.#held.splice(0)) onWritten();
    if (!this.#full) return;
    this.#full = false;
    this.sink?.onDrain();
  }

  end(): void {
    this.destroy();
  }

  destroy(error?: Error): void {
    if (this.closed) return;
    this.closed = true;
    for (const onWritten of this.#held.splice(0)) onWritten();
    this.sink?.onClose(error);
  }
}

export interface FuzzOptions {
  seed: number;
  pool: BlockPool;
  frames: number;
}

export interface FuzzReport {
  frames: number;
  sessions: number;
  resumes: number;
  offered: number;
  delivered: number;
  /** How often sessions ended with each code. */
  ends: Map<string, number>;
  mostQueued: number;
}

const CHUNK = Buffer.alloc(64 * 1024, 'z');
const JUNK = Buffer.alloc(300_000, 0x7b);

export async function fuzz({seed, pool, frames}: FuzzOptions): Promise<FuzzReport> {
  const random = new Random(seed);
  const report: FuzzReport = {
    frames: 0,
    sessions: 0,
    resumes: 0,
    offered: 0,
    delivered: 0,
    ends: new Map(),
    mostQueued: 0,
  };
  while (report.frames < frames) await new Victim(random, pool, report).live(frames);
  return report;
}

class Victim {
  readonly #random: Random;
  readonly #pool: BlockPool;
  readonly #report: FuzzReport;
  readonly #clock = new FuzzClock();
  readonly #session: Session;
  readonly #streams: Stream[] = [];
  #hole: Hole;
  #nextPeerId: number;
  /** Streams that the peer has already answered. */
  readonly #answered = new Set<number>();
  readonly #finished = new Set<number>();
  /** Session bytes that earlier links brought to the peer. */
  #before = 0;
  #ended = false;

  constructor(random: Random, pool: BlockPool, report: FuzzReport) {
    this.#random = random;
    this.#pool = pool;
    this.#report = report;
    report.sessions += 1;
    const role = random.oneIn(2) ? 'agent' : 'relay';
    this.#nextPeerId = role === 'agent' ? 1 : 2;
    this.#session = new Session({
      role,
      pool,
      clock: this.#clock,
      replayBytes: random.of([10_000, 1_000_000]),
      maxStreams: random.of([5, 1_000]),
      sink: {
        onOpen: (stream) => this.#onOpen(stream),
        onControl: () => {},
        onGoaway: () => {},
        onEnded: (error) => this.#onEnded(error),
      },
    });
    this.#hole = this.#link(0);
  }

  #link(peerReceived: number): Hole {
    const hole = new Hole();
    const link = new Link(hole, {clock: this.#clock});
    link.start({onSegmentBytes() {}, onAck() {}, onMessage() {}, onDrain() {}, onClose() {}});
    this.#session.attach(link, peerReceived);
    return hole;
  }

  #onEnded(error: TunlError | undefined): void {
    if (this.#ended) throw new Error('ended twice');
    this.#ended = true;
    const code = error?.code ?? 'in order';
    const {ends} = this.#report;
    ends.set(code, (ends.get(code) ?? 0) + 1);
    if (code === 'UNEXPECTED') throw error;
  }

  #onOpen(stream: Stream): void {
    this.#report.offered += 1;
    this.#take(stream);
    if (this.#random.oneIn(8)) stream.refuse('UPSTREAM_REFUSED');
    else if (!this.#random.oneIn(8)) stream.accept();
  }

  #take(stream: Stream): void {
    const lazy = this.#random.oneIn(3);
    if (this.#streams.length < 40) this.#streams.push(stream);
    else this.#streams[this.#random.below(40)] = stream;
    stream.sink = {
      onData: (piece) => {
        this.#report.delivered += piece.length;
        if (stream.unreadBytes > stream.receiveWindowBytes) throw new Error('more unread than the window');
        if (!lazy) stream.consumed(piece.length);
      },
      onEnd: () => {
        if (!lazy) stream.end();
      },
      onWritable() {},
      onReset() {},
    };
  }

  async live(frames: number): Promise<void> {
    const random = this.#random;
    while (!this.#ended && this.#report.frames < frames) {
      const count = 1 + random.below(8);
      this.#report.frames += count;
      this.#feed(count);
      this.#act();
      // The flush that follows at once is a microtask.
      await undefined;
      this.#clock.run();
      const {queuedBytes} = this.#session;
      this.#report.mostQueued = Math.max(this.#report.mostQueued, queuedBytes);
      if (random.oneIn(2_000)) this.#session.close();
    }
    this.#session.close();
    await undefined;
    if (this.#session.queuedBytes !== 0) throw new Error('something is left in the queue');
  }

  /** Sends `count` frames as one or more records, in pieces, sometimes with an error in them. */
  #feed(count: number): void {
    const random = this.#random;
    const made = Array.from({length: count}, () => this.#frame());
    let bytes: Buffer = Buffer.concat(made);
    if (random.oneIn(60)) bytes = this.#mutate(bytes);
    const records: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const upTo = random.oneIn(3) ? at + 1 + random.below(bytes.length - at) : bytes.length;
      records.push(segment(bytes.subarray(at, upTo)));
      at = upTo;
      if (random.oneIn(10)) records.push(this.#record());
    }
    let all: Buffer = Buffer.concat(records);
    if (random.oneIn(200)) all = this.#mutate(all);
    for (let at = 0; at < all.length; ) {
      const upTo = random.oneIn(3) ? at + 1 + random.below(all.length - at) : all.length;
      if (this.#hole.closed) return;
      this.#hole.sink?.onData(Buffer.from(all.subarray(at, upTo)));
      at = upTo;
    }
  }

  #mutate(bytes: Buffer): Buffer {
    const random = this.#random;
    const copy = Buffer.from(bytes);
    if (copy.length === 0) return copy;
    const at = random.below(copy.length);
    switch (random.below(5)) {
      case 0:
        copy[at] = random.below(256);
        return copy;
      case 1:
        copy[at] = (copy[at] as number) ^ (1 << random.below(8));
        return copy;
      case 2:
        return copy.subarray(0, at);
      case 3:
        return Buffer.concat([copy.subarray(0, at), JUNK.subarray(0, random.below(40)), copy.subarray(at)]);
      default:
        return Buffer.concat([copy, copy.subarray(at)]);
    }
  }

  /** The id of a stream that probably exists. */
  #id(): number {
    const random = this.#random;
    if (this.#streams.length > 0 && !random.oneIn(30)) return random.of(this.#streams).id;
    return random.of([0, 1, 2, 3, 4, this.#nextPeerId, 2 ** 32 + 1, 2 ** 48 - 1]);
  }

  #frame(): Buffer {
    return this.#random.oneIn(60) ? this.#anyFrame() : this.#rightFrame();
  }

  /** A frame that a correct peer might send, unless a frame of the same batch has changed the state. */
  #rightFrame(): Buffer {
    const random = this.#random;
    const stream = this.#streams.length === 0 || random.oneIn(6) ? undefined : random.of(this.#streams);
    if (stream === undefined) {
      if (random.oneIn(5)) return control({type: 'unbind', tunnel: random.below(10)});
      const id = this.#nextPeerId;
      this.#nextPeerId += 2 * (1 + random.below(2));
      return open(id, {tunnel: 1}, random.oneIn(20) ? 3 + random.below(250) : KIND.visitor);
    }
    const {id, state} = stream;
    const last = random.oneIn(30);
    switch (state) {
      case 'opening':
      case 'openingLocalEnded':
        if (this.#answered.has(id)) return credit(id, 1);
        this.#answered.add(id);
        return last ? refused(id, 'TUNNEL_UNKNOWN') : opened(id);
      case 'offered':
      case 'open':
      case 'localEnded': {
        if (this.#finished.has(id)) return credit(id, 1);
        if (last) {
          this.#finished.add(id);
          return random.oneIn(2) ? fin(id) : reset(id, 'VISITOR_RESET');
        }
        // At least half a window less the unread bytes is granted; a batch has at most eight frames.
        const room = (stream.receiveWindowBytes / 2 - stream.unreadBytes) / 8;
        if (room < 1 || random.oneIn(4)) return credit(id, random.of([1, 1_000, 100_000]));
        return data(id, CHUNK.subarray(0, 1 + random.below(Math.min(room, random.oneIn(20) ? 60_000 : 200))));
      }
      case 'closed':
        // Late, and discarded.
        return random.of([data(id, 'late'), credit(id, 5), fin(id), reset(id), opened(id)]);
      default:
        return last ? reset(id) : credit(id, 1 + random.below(1_000));
    }
  }

  #anyFrame(): Buffer {
    const random = this.#random;
    switch (random.below(20)) {
      case 0:
      case 1:
      case 2: {
        const id = this.#nextPeerId;
        this.#nextPeerId += 2 * (1 + random.below(2));
        return open(id, {tunnel: 1}, random.oneIn(20) ? random.below(256) : KIND.visitor);
      }
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
      case 8:
        return data(this.#id(), CHUNK.subarray(0, 1 + random.below(random.oneIn(20) ? 60_000 : 200)));
      case 9:
      case 10:
        return credit(this.#id(), random.of([1, 100, 65_536, 1_000_000, random.below(2 ** 32)]));
      case 11:
        return fin(this.#id());
      case 12:
        return reset(this.#id(), random.of(['VISITOR_RESET', 'X', '']));
      case 13:
      case 14:
        return opened(this.#id());
      case 15:
        return refused(this.#id());
      case 16:
        return control({type: 'unbind', tunnel: random.below(10)});
      case 17:
        return frame(random.below(256), this.#id(), JUNK.subarray(0, random.below(30)));
      default: {
        const type = random.of(Object.values(FRAME));
        return frame(type, type === FRAME.control ? 0 : this.#id(), JUNK.subarray(0, random.below(50)));
      }
    }
  }

  #record(): Buffer {
    const random = this.#random;
    switch (random.below(12)) {
      case 0:
        return random.oneIn(20) ? ack(random.of([0, 1, 100, 2 ** 32, random.below(10_000)])) : pong(3);
      case 1:
        return message({type: 'goaway', message: 'x', afterMs: random.below(100), relays: []});
      case 2:
        return random.oneIn(20)
          ? message({type: 'close', code: 'CLOSED', message: ''})
          : pong(random.below(5));
      case 3:
        return random.oneIn(20) ? record(random.below(256), JUNK.subarray(0, random.below(30))) : ping(1);
      case 4:
        return random.oneIn(20) ? record(RECORD.message, JUNK.subarray(0, 1 + random.below(30))) : ping(2);
      default:
        // The ack that a correct peer would send.
        return ack(this.#sent());
    }
  }

  #sent(): number {
    return this.#before + this.#hole.sessionBytes;
  }

  /** Something that the owner of a session may do at any time. */
  #act(): void {
    const random = this.#random;
    if (random.oneIn(30)) this.#hole.stuck = true;
    if (random.oneIn(10)) this.#hole.loosen();
    if (random.oneIn(50)) this.#clock.advance(random.of([1, 60, 5_000]));
    if (random.oneIn(60)) this.#relink();
    if (this.#ended) return;
    if (random.oneIn(6)) {
      const mine = this.#session.open(random.of([KIND.visitor, KIND.carrier]), {n: 1});
      if (mine !== undefined) this.#take(mine);
    }
    if (random.oneIn(40)) this.#session.sendControl({n: random.below(10)});
    if (this.#streams.length === 0) return;
    const stream = random.of(this.#streams);
    switch (random.below(9)) {
      case 0:
      case 1:
      case 2:
        stream.write(CHUNK.subarray(0, random.below(random.oneIn(10) ? 65_536 : 500)));
        return;
      case 3: {
        const block = this.#pool.take();
        const length = random.below(40_000);
        block.buffer.fill(1, PAYLOAD_AT, PAYLOAD_AT + length);
        stream.writeBlock(block, length);
        return;
      }
      case 4:
        stream.consumed(random.below(100_000));
        return;
      case 5:
        stream.end();
        return;
      case 6:
        stream.accept();
        return;
      case 7:
        if (random.oneIn(4)) stream.reset('CANCELLED');
        return;
      default:
        if (random.oneIn(4)) stream.refuse('TUNNEL_UNKNOWN');
    }
  }

  /** The link breaks. The next one continues at the peer's real position, or at a false one. */
  #relink(): void {
    const random = this.#random;
    if (random.oneIn(2)) this.#hole.destroy(new Error('cut'));
    this.#report.resumes += 1;
    const sent = this.#sent();
    const count = random.oneIn(10) ? random.below(2 ** 32) : sent;
    this.#before = count;
    this.#hole = this.#link(count);
  }
}
