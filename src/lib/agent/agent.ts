// The machine with the upstream: its tunnels at a relay, and the streams that it opens there, over a link that is renewed
// when it breaks.

import {atMost, type Clock, systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import type {StreamHandler} from '../mux/stream-kinds.js';
import type {AddressRules, TunnelRequest} from '../protocol/control-messages.js';
import {KIND, type StreamKind} from '../protocol/wire.js';
import {AgentLink} from './agent-link.js';
import type {AgentOptions} from './agent-options.js';
import {type BindingOwner, Bindings, type Bound} from './bindings.js';
import {type OpenOptions, Opens} from './opens.js';

type Phase =
  | {is: 'new'}
  /** There was no link yet: `start` waits for the first one. */
  | {is: 'starting'; first: PromiseWithResolvers<void>}
  | {is: 'serving'}
  | {is: 'ended'; why: TunlError | undefined; gone: Promise<void>};

export class Agent {
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #bindings: Bindings;
  readonly #opens: Opens;
  readonly #link: AgentLink;
  readonly #onStream: {[kind in StreamKind]?: StreamHandler<Session>};
  /** The clock's timers do not keep the process alive; an agent that waits for its link must. */
  readonly #keepAlive = setInterval(() => {}, 2 ** 30);
  #phase: Phase = {is: 'new'};

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const mostAwayMs = options.maxRetryTimeMs ?? Number.POSITIVE_INFINITY;
    this.#bindings = new Bindings({
      clock: this.#clock,
      mostAwayMs,
      send: (message) => this.#link.session?.sendControl(message),
      lacks: (feature) => this.#link.session !== undefined && !this.#link.relayFeatures.includes(feature),
      onRefused: (error, attempt, delayMs) => this.#link.tellWaiting('refused', error, attempt, delayMs),
      onProbe: options.onProbe ?? ((stream) => stream.refuse('CANCELLED')),
      onBoundAgain: (awayMs) => options.events.onResumed(awayMs, 0, 0),
    });
    this.#opens = new Opens({
      clock: this.#clock,
      session: () => (this.linked ? this.#link.session : undefined),
    });
    this.#onStream = {
      ...options.onStream,
      [KIND.visitor]: (stream, about, session) => this.#bindings.onVisitor(stream, about, session),
    };
    this.#link = new AgentLink({
      ...options,
      clock: this.#clock,
      mostAwayMs,
      bindings: this.#bindings,
      onStream: this.#onStream,
      onLinked: () => this.#linked(),
      onOver: (why) => this.#finish(why),
    });
  }

  get streamCount(): number {
    return this.#link.sessions.streamCount;
  }

  get rttMs(): number | undefined {
    return this.#link.link?.lastRttMs;
  }

  /**
   * Resolves with the first link. @throws TunlError the reason why there is none. With `wait` that is a final reason, or the
   * last one within the time limit.
   */
  async start(): Promise<void> {
    if (this.#phase.is === 'ended') throw this.#phase.why ?? new TunlError('ABORTED');
    const first = Promise.withResolvers<void>();
    this.#phase = {is: 'starting', first};
    this.#link.begin();
    await first.promise;
  }

  /** Asks for a tunnel. @throws TunlError the relay's reason. */
  async bind(wish: TunnelRequest, owner: BindingOwner): Promise<Bound> {
    if (this.#phase.is === 'ended') throw this.#phase.why ?? new TunlError('CLOSED');
    return await this.#bindings.add(wish, owner);
  }

  /** This owner's tunnels get no new visitors, and its binds fail; open streams go on. */
  unbind(owner: BindingOwner, error: TunlError = new TunlError('CLOSED')): void {
    this.#bindings.drop(owner, error);
  }

  /** As `Bindings.restrict`. */
  restrict(owner: BindingOwner, cidr: AddressRules): void {
    this.#bindings.restrict(owner, cidr);
  }

  /** Whether there is a link now. */
  get linked(): boolean {
    return this.#link.link !== undefined;
  }

  /**
   * Opens a stream at the relay; its first bytes may follow at once. Waits for a link according to `options`. A stream
   * belongs to the session in which it was opened. After a goodbye of the relay, new streams are opened in the next session.
   *
   * @throws TunlError RELAY_TIMEOUT (no link), RELAY_BUSY (too many), ABORTED, or the reason why the agent has ended.
   */
  async open(kind: StreamKind, about: object, options: OpenOptions = {}): Promise<Stream> {
    if (this.#phase.is === 'ended') throw this.#phase.why ?? new TunlError('CLOSED');
    return await this.#opens.open(kind, about, options);
  }

  /** From now on `handler` gets the streams of this kind that the relay opens. */
  take(kind: Exclude<StreamKind, typeof KIND.visitor>, handler: StreamHandler<Session>): void {
    this.#onStream[kind] = handler;
  }

  /** Additions to the first form of the protocol that the relay of the last link supports. */
  get relayFeatures(): readonly string[] {
    return this.#link.relayFeatures;
  }

  /**
   * The link may be dead: it must answer within `withinMs`. An attempt for a new link begins at once, beside the old one (the
   * relay ends the old one when the new one is there) or instead of the next retry. An attempt that is under way begins
   * again, because it may use an address that this machine no longer has.
   */
  nudge(withinMs: number): void {
    this.#link.nudge(withinMs);
  }

  /**
   * The machine was asleep, or its clock was set: a link must answer within `withinMs`; without a link an attempt begins at
   * once.
   */
  wake(withinMs: number): void {
    const {link} = this.#link;
    if (link === undefined) this.nudge(withinMs);
    else link.probe(withinMs);
  }

  /** Ends the agent: the relay is told, open streams are reset. Idempotent. */
  close(): void {
    this.#finish(undefined);
  }

  /** Like `close`, with `error` as the reason. */
  destroy(error: TunlError): void {
    this.#finish(error);
  }

  /**
   * Resolves when the relay knows that the agent has ended, or after a time. If the process ended earlier, the goodbye might
   * be lost, and the relay would keep visitors for an agent that never comes back.
   */
  async gone(): Promise<void> {
    if (this.#phase.is === 'ended') await this.#phase.gone;
  }

  /** True when the relay has not acknowledged everything. */
  get isBehind(): boolean {
    return this.#link.sessions.isBehind;
  }

  /** Like `close`, after the last bytes have arrived or `lastBytesMs` have passed. Resolves like `gone`. */
  async leave(lastBytesMs: number): Promise<void> {
    if (lastBytesMs > 0) await atMost(this.#clock, lastBytesMs, this.#link.sessions.delivered());
    this.close();
    await this.gone();
  }

  #linked(): void {
    if (this.#options.ownStreams) this.#bindings.served();
    this.#opens.linked();
    if (this.#phase.is !== 'starting') return;
    const {first} = this.#phase;
    this.#phase = {is: 'serving'};
    first.resolve();
  }

  #finish(why: TunlError | undefined): void {
    const before = this.#phase;
    if (before.is === 'ended') return;
    const gone = Promise.withResolvers<void>();
    // The phase changes first, so that reports of the ending link have no effect.
    this.#phase = {is: 'ended', why, gone: gone.promise};
    gone.resolve(this.#link.end());
    clearInterval(this.#keepAlive);
    this.#bindings.fail(why ?? new TunlError('CLOSED'));
    this.#opens.fail(why ?? new TunlError('CLOSED'));
    this.#options.events.onEnded(why);
    if (before.is === 'starting') before.first.reject(why ?? new TunlError('ABORTED'));
  }
}
