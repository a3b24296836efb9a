// The other side of a session, made of bytes: it sends anything, and parses what it gets.
import type {TunlError} from '../../src/lib/core/errors.js';
import type {Carrier} from '../../src/lib/mux/carrier.js';
import {FrameReader} from '../../src/lib/mux/frame-reader.js';
import {Link} from '../../src/lib/mux/link.js';
import {createPipe} from '../../src/lib/mux/pipe.js';
import {RecordReader} from '../../src/lib/mux/record-reader.js';
import {Session} from '../../src/lib/mux/session.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import type {SessionRole} from '../../src/lib/mux/stream-ids.js';
import {type LinkMessage, parseLinkMessage} from '../../src/lib/protocol/link-messages.js';
import {FRAME, RECORD} from '../../src/lib/protocol/wire.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {CountingPool} from './counting-pool.js';
import {type Tuning, turn} from './peers.js';
import {segment} from './wire-bytes.js';

export interface SeenFrame {
  type: number;
  streamId: number;
  payload: Buffer;
}

export class RawPeer {
  readonly #carrier: Carrier;
  readonly frames: SeenFrame[] = [];
  readonly messages: LinkMessage[] = [];
  readonly acks: number[] = [];
  pings = 0;
  pongs = 0;
  /** Session bytes that came. */
  received = 0;
  closed = false;
  violation: string | undefined;

  constructor(carrier: Carrier) {
    this.#carrier = carrier;
    const frames = new FrameReader({
      onDataStart: (streamId) => {
        this.frames.push({type: FRAME.data, streamId, payload: Buffer.alloc(0)});
        return true;
      },
      onData: (piece) => {
        const last = this.frames.at(-1);
        if (last !== undefined) last.payload = Buffer.concat([last.payload, piece]);
      },
      onFrame: (type, streamId, payload) => this.frames.push({type, streamId, payload}),
      onViolation: (reason) => {
        this.violation = reason;
      },
    });
    const records = new RecordReader({
      onSegmentBytes: (piece) => {
        this.received += piece.length;
        frames.push(piece);
      },
      onRecord: (type, payload) => {
        if (type === RECORD.ack) this.acks.push(Number(payload.readBigUInt64BE()));
        else if (type === RECORD.ping) this.pings += 1;
        else if (type === RECORD.pong) this.pongs += 1;
        else this.messages.push(parseLinkMessage(payload));
      },
      onViolation: (reason) => {
        this.violation = reason;
      },
    });
    carrier.start({
      onData: (chunk) => records.push(chunk),
      onDrain: () => {},
      onClose: () => {
        this.closed = true;
      },
    });
  }

  /** Whole records. */
  send(...records: Uint8Array[]): void {
    const bytes = Buffer.concat(records);
    if (bytes.length > 0) this.#carrier.write(bytes, 0, bytes.length);
  }

  /** Frames, as one segment. */
  frame(...frames: Uint8Array[]): void {
    this.send(segment(...frames));
  }

  of(type: number): SeenFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The last message that the peer got. */
  get farewell(): LinkMessage | undefined {
    return this.messages.at(-1);
  }
}

export interface Victim {
  session: Session;
  link: Link;
  carrier: Carrier;
  peer: RawPeer;
  clock: ManualClock;
  pool: CountingPool;
  /** Streams that the peer opened. */
  offered: Stream[];
  controls: Buffer[];
  /** Why the session ended, null after an orderly end; undefined while it lives. */
  ended: () => TunlError | null | undefined;
  detached: () => number;
}

export interface VictimOptions extends Tuning {
  role?: SessionRole;
  pool?: CountingPool;
  /** Default: a pipe in memory. */
  carriers?: readonly [mine: Carrier, theirs: Carrier];
  onOpen?: (stream: Stream) => void;
}

/** A session whose peer is made of bytes, past the handshake. */
export function victim(options: VictimOptions = {}): Victim {
  const {role = 'agent', pool = new CountingPool(), carriers = createPipe(), onOpen, ...tuning} = options;
  const clock = new ManualClock();
  const offered: Stream[] = [];
  const controls: Buffer[] = [];
  let ended: TunlError | null | undefined;
  let detached = 0;
  const session = new Session({
    ...tuning,
    role,
    pool,
    clock,
    sink: {
      onOpen(stream) {
        offered.push(stream);
        onOpen?.(stream);
      },
      onControl: (payload) => controls.push(payload),
      onDetached: () => {
        detached += 1;
      },
      onEnded(error) {
        if (ended !== undefined) throw new Error('ended twice');
        ended = error ?? null;
      },
    },
  });
  const link = relink(session, clock, carriers[0]);
  const peer = new RawPeer(carriers[1]);
  return {
    session,
    link,
    carrier: carriers[0],
    peer,
    clock,
    pool,
    offered,
    controls,
    ended: () => ended,
    detached: () => detached,
  };
}

/** Attaches the session to a carrier without a handshake; `told` is the count of received bytes in the hello, if any. */
export function relink(
  session: Session,
  clock: ManualClock,
  carrier: Carrier,
  peerReceived = 0,
  told: number | undefined = undefined,
): Link {
  const link = new Link(carrier, {clock});
  link.told = told;
  link.start({onSegmentBytes() {}, onAck() {}, onMessage() {}, onDrain() {}, onClose() {}});
  session.attach(link, peerReceived);
  return link;
}

/** Some turns, for what is under way to arrive and be answered. */
/** Runs turns until the condition holds. The work for one peer in a turn is bounded, so floods take many turns and some time. */
export async function until(holds: () => boolean, clock?: ManualClock): Promise<void> {
  for (let turns = 0; !holds(); turns += 1) {
    if (turns === 100_000) throw new Error('what was waited for did not happen');
    clock?.advance(1);
    await turn();
  }
}

export async function settle(turns = 6): Promise<void> {
  for (let i = 0; i < turns; i += 1) await turn();
}
