// Two sessions, the carriers under them, and a way to wait for a condition while bytes and time move.
import type {Stream} from '../../src/lib/mux/stream.js';
import {KIND} from '../../src/lib/protocol/wire.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {Scope} from '../helpers/scope.js';
import type {Cuttable, Fabric, Wires} from './fabrics.js';
import {Peers, type PeersOptions, turn} from './peers.js';
import {type Side, StreamEnd, type StreamEndOptions} from './stream-end.js';

export interface NetOptions extends Omit<PeersOptions, 'clock'> {
  highWaterBytes?: number;
}

export const otherSide = (side: Side): Side => (side === 'agent' ? 'relay' : 'agent');

export class Net implements AsyncDisposable {
  readonly #fabric: Fabric;
  readonly #highWaterBytes: number | undefined;
  readonly scope = new Scope();
  readonly clock = new ManualClock();
  readonly peers: Peers;
  /** Ends of streams that the other side opened, for which no test has waited yet. */
  readonly offered: Record<Side, StreamEnd[]> = {agent: [], relay: []};
  carriers: Cuttable | undefined;
  #wires: Wires | undefined;
  #connecting = false;

  constructor(fabric: Fabric, {highWaterBytes, ...options}: NetOptions = {}) {
    this.#fabric = fabric;
    this.#highWaterBytes = highWaterBytes;
    this.peers = new Peers({
      onOpen: (side, stream) => void this.offered[side].push(this.end(side, stream, false)),
      ...options,
      clock: this.clock,
    });
  }

  static async linked(fabric: Fabric, options: NetOptions = {}): Promise<Net> {
    const net = new Net(fabric, options);
    await net.start();
    await net.until(() => net.linked, 'the first link');
    return net;
  }

  async start(): Promise<void> {
    this.#wires = await this.#fabric.weave(this.scope, this.clock, this.#highWaterBytes);
  }

  get connecting(): boolean {
    return this.#connecting;
  }

  get linked(): boolean {
    return this.peers.agent?.link !== undefined && this.peers.relay?.link !== undefined && !this.#connecting;
  }

  end(side: Side, stream: Stream, accepted: boolean, options: Partial<StreamEndOptions> = {}): StreamEnd {
    return new StreamEnd(stream, {side, pool: this.peers.pools[side], ...options}, accepted);
  }

  /** Opens a stream; the other end comes up in `offered`. */
  open(side: Side, options: Partial<StreamEndOptions> = {}, about: object = {}): StreamEnd {
    const stream = this.peers.session(side).open(KIND.visitor, about);
    if (stream === undefined) throw new Error(`the ${side} may open no more streams`);
    return this.end(side, stream, true, options);
  }

  /** Opens a stream and accepts it on the other side. */
  async pair(side: Side, options: Partial<StreamEndOptions> = {}): Promise<readonly [StreamEnd, StreamEnd]> {
    const mine = this.open(side, options);
    const theirs = await this.nextOffered(otherSide(side));
    theirs.accept();
    return [mine, theirs];
  }

  async nextOffered(side: Side): Promise<StreamEnd> {
    await this.until(() => this.offered[side].length > 0, 'an open');
    const [next] = this.offered[side].splice(0, 1);
    if (next === undefined) throw new Error('nothing was offered');
    return next;
  }

  /** Starts a link over new carriers; the handshake may fail. */
  async link(): Promise<void> {
    if (this.#connecting || this.#wires === undefined) return;
    this.#connecting = true;
    this.carriers = await this.#wires.connect();
    this.peers
      .connect(this.carriers)
      .catch(() => {})
      .finally(() => {
        this.#connecting = false;
      });
  }

  flow(bytes: number): void {
    this.#wires?.flow?.(bytes);
  }

  async disturb(): Promise<void> {
    await this.#wires?.disturb?.();
  }

  /** One turn in which everything moves that can move; a lost link is replaced while both sessions live. */
  async goOn(): Promise<void> {
    const over = this.peers.agent?.ended || this.peers.relay?.ended;
    if (!this.linked && !over) await this.link();
    this.flow(1_000_000);
    await turn();
  }

  /** `describe` shows progress, and in the failure message what the test waited for. */
  async until(holds: () => boolean, what: string, describe: () => string = () => ''): Promise<void> {
    let idle = 0;
    for (let before = ''; !holds(); ) {
      await this.goOn();
      // The first steps let acks go out; much later ones make silent links time out.
      if (idle % 16 === 15) this.clock.advance(idle < 200 ? 60 : 1_000);
      const now = `${this.linked} ${describe()}`;
      idle = now === before ? idle + 1 : 0;
      before = now;
      if (idle > 500 && this.#fabric.kernel) await new Promise((resolve) => setTimeout(resolve, 1));
      if (idle > 2_500) throw new Error(`nothing moves any more (${what}):\n${this.describe()}\n${now}`);
    }
  }

  /** Until nothing is queued or unacknowledged, and no block is out. */
  async rest(): Promise<void> {
    const {pools} = this.peers;
    const owed = () =>
      (this.peers.agent?.queuedBytes ?? 0) +
      (this.peers.relay?.queuedBytes ?? 0) +
      pools.agent.out +
      pools.relay.out;
    await this.until(
      () => owed() === 0,
      'all is acknowledged',
      () => String(owed()),
    );
  }

  describe(): string {
    const {agent, relay, pools} = this.peers;
    const sessions = [agent, relay].map(
      (each) =>
        `${each?.role}: link ${each?.link !== undefined}, streams ${each?.streamCount}, queued ${each?.queuedBytes}, unacked ${each?.unackedBytes}`,
    );
    return [...sessions, `blocks ${pools.agent.out} and ${pools.relay.out}`].join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.peers.agent?.close();
    this.peers.relay?.close();
    for (let i = 0; i < 5; i += 1) {
      this.flow(1_000_000);
      await turn();
    }
    await this.scope[Symbol.asyncDispose]();
  }
}
