// A world of two sessions, any number of streams, and links that break, driven by a list of steps. A stream's reader
// must get exactly what its writer wrote, whatever happens in between.
import fc from 'fast-check';
import {BLOCK_BYTES} from '../../src/lib/mux/blocks.js';
import {ReplayBudget} from '../../src/lib/mux/replay-budget.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {KIND} from '../../src/lib/protocol/wire.js';
import type {Fabric} from './fabrics.js';
import {Net, otherSide} from './net.js';
import {turn} from './peers.js';
import type {Side, StreamEnd} from './stream-end.js';

type Taking = 'now' | 'later' | 'refuse';

export type Step =
  | {do: 'open'; side: Side; taking: Taking}
  | {do: 'write'; which: number; bytes: number}
  | {do: 'consume'; which: number; bytes: number}
  | {do: 'accept' | 'end' | 'reset' | 'stop' | 'go'; which: number}
  | {do: 'flow'; bytes: number; turns: number}
  | {do: 'time'; ms: number}
  /** The link breaks after so many more bytes have arrived at each side. */
  | {do: 'cut'; agentGets: number; relayGets: number}
  /** One side's end of the link is lost; the other side does not notice. */
  | {do: 'lose'; side: Side}
  | {do: 'link' | 'disturb'};

export interface Config {
  replayBytes: number;
  /** The budget of both sessions together; beyond it each has only its share. */
  budgetBytes: number;
  queueBytes: number;
  highWaterBytes: number;
  chunkBytes: number;
  maxStreams: number;
  blocks: boolean;
}

const side = fc.constantFrom<Side>('agent', 'relay');
const which = fc.nat({max: 99});
const someBytes = fc.oneof(
  fc.integer({min: 1, max: 100}),
  fc.integer({min: 1, max: 40_000}),
  fc.integer({min: 1, max: 900_000}),
);
const fewBytes = fc.oneof(
  fc.integer({min: 0, max: 60}),
  fc.integer({min: 0, max: 5_000}),
  fc.integer({min: 0, max: 400_000}),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      side,
      taking: fc.constantFrom<Taking>('now', 'now', 'now', 'later', 'refuse'),
    }),
  },
  {weight: 12, arbitrary: fc.record({do: fc.constant('write' as const), which, bytes: someBytes})},
  {weight: 2, arbitrary: fc.record({do: fc.constant('consume' as const), which, bytes: someBytes})},
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('accept' as const, 'end' as const, 'end' as const, 'stop' as const, 'go' as const),
      which,
    }),
  },
  {weight: 1, arbitrary: fc.record({do: fc.constant('reset' as const), which})},
  {
    weight: 16,
    arbitrary: fc.record({
      do: fc.constant('flow' as const),
      bytes: fewBytes,
      turns: fc.integer({min: 1, max: 4}),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({do: fc.constant('time' as const), ms: fc.constantFrom(1, 20, 50, 2_000)}),
  },
  {
    weight: 2,
    arbitrary: fc.record({do: fc.constant('cut' as const), agentGets: fewBytes, relayGets: fewBytes}),
  },
  {weight: 1, arbitrary: fc.record({do: fc.constant('lose' as const), side})},
  {weight: 4, arbitrary: fc.record({do: fc.constant('link' as const)})},
  {weight: 1, arbitrary: fc.record({do: fc.constant('disturb' as const)})},
);

export const steps: fc.Arbitrary<Step[]> = fc.array(step, {minLength: 5, maxLength: 80, size: 'max'});

export const config: fc.Arbitrary<Config> = fc.record({
  replayBytes: fc.constantFrom(20_000, 300_000, 16 * 1024 * 1024),
  budgetBytes: fc.constantFrom(0, 600_000, 2 ** 30),
  queueBytes: fc.constantFrom(1_000, 64 * 1024, 256 * 1024),
  highWaterBytes: fc.constantFrom(1_000, 64 * 1024, 256 * 1024),
  chunkBytes: fc.constantFrom(100, 16 * 1024, 64 * 1024, BLOCK_BYTES),
  maxStreams: fc.constantFrom(3, 65_536),
  blocks: fc.boolean(),
});

/** Urgent frames are not held back until this much of them waits (see the session's own limit). */
const URGENT_BYTES = 2 * 1024 * 1024;

export class World implements AsyncDisposable {
  readonly #config: Config;
  readonly #net: Net;
  readonly #ends: StreamEnd[] = [];
  readonly #late: StreamEnd[] = [];
  readonly #faults: string[] = [];

  constructor(fabric: Fabric, settings: Config) {
    this.#config = settings;
    const {replayBytes, budgetBytes, queueBytes, maxStreams, highWaterBytes} = settings;
    this.#net = new Net(fabric, {
      replayBytes,
      replayBudget: new ReplayBudget(budgetBytes),
      queueBytes,
      maxStreams,
      highWaterBytes,
      onOpen: (at, stream, about) => this.#onOpen(at, stream, JSON.parse(about.toString()).taking),
    });
  }

  async start(): Promise<void> {
    await this.#net.start();
    await this.#net.until(() => this.#net.linked, 'the first link');
  }

  #newEnd(at: Side, stream: Stream, accepted: boolean): StreamEnd {
    const {chunkBytes, blocks} = this.#config;
    const end = this.#net.end(at, stream, accepted, {chunkBytes, blocks});
    this.#ends.push(end);
    return end;
  }

  #onOpen(at: Side, stream: Stream, taking: Taking): void {
    const end = this.#newEnd(at, stream, false);
    if (taking === 'now') end.accept();
    else if (taking === 'refuse') end.refuse('UPSTREAM_REFUSED');
    else this.#late.push(end);
  }

  async run(list: readonly Step[]): Promise<void> {
    for (const each of list) {
      await this.#do(each);
      this.#check();
    }
    await this.#finish();
  }

  async #do(each: Step): Promise<void> {
    const net = this.#net;
    switch (each.do) {
      case 'open': {
        const stream = net.peers.session(each.side).open(KIND.visitor, {taking: each.taking});
        if (stream !== undefined) this.#newEnd(each.side, stream, true);
        return;
      }
      case 'flow':
        for (let i = 0; i < each.turns; i += 1) {
          net.flow(each.bytes);
          await turn();
        }
        return;
      case 'time':
        net.clock.advance(each.ms);
        return;
      case 'cut':
        net.carriers?.agent.cutAfter(each.agentGets);
        net.carriers?.relay.cutAfter(each.relayGets);
        return;
      case 'lose':
        net.carriers?.[otherSide(each.side)].deafen();
        net.carriers?.[each.side].destroy(new Error('lost'));
        return;
      case 'link':
        await net.link();
        return;
      case 'disturb':
        await net.disturb();
        return;
      default:
        this.#doToEnd(each);
    }
  }

  #doToEnd(each: Extract<Step, {which: number}>): void {
    const end = this.#ends[each.which % this.#ends.length];
    if (end === undefined) return;
    if (each.do === 'write') end.write(each.bytes);
    else if (each.do === 'consume') end.consume(each.bytes);
    else if (each.do === 'end') end.end();
    else if (each.do === 'reset') end.reset('CANCELLED');
    else if (each.do === 'stop') end.stop();
    else if (each.do === 'go') end.go();
    else this.#late[each.which % this.#late.length]?.accept();
  }

  #check(): void {
    for (const at of ['agent', 'relay'] as const) {
      const session = this.#net.peers[at];
      if (session === undefined) continue;
      if (session.ended) this.#faults.push(`the ${at}'s session ended: ${this.#net.peers.ends[at]?.message}`);
      const {replayBytes, queueBytes, chunkBytes} = this.#config;
      // Each stream may bring one more read after it was asked to stop.
      const reads = this.#ends.filter((end) => end.side === at).length * 2 * chunkBytes;
      const cap = replayBytes + queueBytes + URGENT_BYTES + BLOCK_BYTES + reads;
      if (session.queuedBytes > cap)
        this.#faults.push(`${at}: ${session.queuedBytes} bytes queued, over ${cap}`);
    }
    for (const end of this.#ends) this.#faults.push(...end.faults.splice(0));
    if (this.#faults.length > 0) throw new Error(this.#faults.join('\n'));
  }

  /** All streams read, and write the rest: all of it must arrive. */
  async #finish(): Promise<void> {
    for (const end of this.#ends) end.go();
    const over = () => {
      this.#check();
      // Streams whose OPEN arrives only now are among them.
      for (const end of this.#late) end.accept();
      for (const end of this.#ends) end.end();
      return this.#ends.every((end) => end.over);
    };
    const describe = () => this.#ends.filter((end) => !end.over).map((end) => end.describe());
    await this.#net.until(over, 'every stream is over', () => describe().join('\n'));
    await this.#net.rest();
    const {agent, relay} = this.#net.peers;
    if (agent?.streamCount !== 0 || relay?.streamCount !== 0) this.#faults.push('streams are left');
    this.#compare();
    this.#check();
  }

  /** Compares each reader with its writer. */
  #compare(): void {
    const byKey = new Map(this.#ends.map((end) => [`${end.side} ${end.stream.id}`, end]));
    for (const end of this.#ends) {
      const other = byKey.get(`${otherSide(end.side)} ${end.stream.id}`);
      const name = `${end.side}, stream ${end.stream.id}`;
      if (other === undefined) {
        // Its OPEN never reached the other owner: too many streams, or it was reset before.
        if (!end.dropped && end.resetCode !== 'TOO_MANY_STREAMS')
          this.#faults.push(`${name}: the other end is missing`);
        continue;
      }
      if (end.received > other.written) this.#faults.push(`${name}: received more than was written`);
      if (end.remoteEnded && end.received !== other.written)
        this.#faults.push(`${name}: the end came after ${end.received} of ${other.written} bytes`);
      if (end.closed !== other.closed && !other.dropped && !end.dropped)
        this.#faults.push(`${name}: closed ${end.closed}, the other end ${other.closed}`);
      if (end.resetCode !== undefined && !other.dropped)
        this.#faults.push(`${name}: reset with ${end.resetCode}, but nobody reset it`);
      if (other.dropped && !end.dropped && !end.closed && end.resetCode === undefined)
        this.#faults.push(`${name}: was not told of the reset`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#net[Symbol.asyncDispose]();
  }
}
