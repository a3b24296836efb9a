// One agent and the tunnels that share its link: they come and go, and the agent ends with the last one.

import {totalmem} from 'node:os';
import {defaultUnreadLimit, UnreadLimit} from '../bytes/unread-limit.js';
import type {ProbeEnd} from '../carrier/probe.js';
import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {createLogger, type LogRecord} from '../core/logger.js';
import {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import type {Identify} from '../mux/handshake.js';
import type {Stream} from '../mux/stream.js';
import {type AddressRules, parseProbeAnswer, type TunnelRequest} from '../protocol/control-messages.js';
import {FEATURE_PROBE} from '../protocol/link-messages.js';
import {KIND, type StreamKind} from '../protocol/wire.js';
import {Agent} from './agent.js';
import type {SessionPlace, Waiting} from './agent-options.js';
import {answerOf} from './ask-relay.js';
import type {BindingOwner, Bound} from './bindings.js';
import type {ReadyEvent, TunnelEvent} from './events.js';
import {watchNetwork} from './network-watch.js';
import type {OpenOptions} from './opens.js';
import {type Probed, Prober, type ProberOptions} from './prober.js';
import type {Successors} from './successors.js';
import {LocalTunnel} from './tunnel.js';
import type {PublicSides} from './tunnel-requests.js';
import type {TunnelHost, TunnelSettings} from './tunnel-settings.js';

/** All values are settled: no defaults, no environment. */
export interface LinkSettings {
  relay: ReadyEvent['relay'];
  software: string;
  /** One attempt to reach the relay. `url`: the place that another relay has named. */
  dial: (signal: AbortSignal, url: string | undefined, session?: SessionPlace) => Promise<Carrier>;
  /** Dials a public name as a visitor does. */
  dialPublic: ProberOptions['dial'];
  successors: Successors;
  identify: Identify | undefined;
  wait: boolean;
  maxRetryTimeMs: number | undefined;
  keepForReplay: boolean;
  /** Called once when the agent ends. */
  onOver?: () => void;
}

/** After a change of this machine's addresses, or a sleep, the link must answer within this time, ms. */
const PROBE_MS = 2_000;
/** How long a new tunnel waits for its answer without a link, ms. */
const AWAY_MS = 10_000;

export class TunnelAgent implements TunnelHost {
  readonly relay: ReadyEvent['relay'];
  readonly pool = new BlockPool();
  readonly unread: UnreadLimit;
  readonly #settings: LinkSettings;
  readonly #clock: Clock = systemClock;
  readonly #agent: Agent;
  readonly #prober: Prober;
  readonly #tunnels = new Set<LocalTunnel>();
  #started: Promise<void> | undefined;
  #network: Disposable | undefined;
  #over = false;
  #visitors = 0;

  constructor(settings: LinkSettings) {
    this.#settings = settings;
    this.relay = settings.relay;
    const log = createLogger('agent', (record) => this.#log(record));
    this.unread = new UnreadLimit({limitBytes: defaultUnreadLimit(totalmem()), clock: this.#clock, log});
    this.#agent = new Agent({
      software: settings.software,
      pool: this.pool,
      log,
      dial: settings.dial,
      successors: settings.successors,
      wait: settings.wait,
      keepForReplay: settings.keepForReplay,
      onProbe: (stream) => this.#prober.answer(stream),
      ...(settings.identify === undefined ? {} : {identify: settings.identify}),
      ...(settings.maxRetryTimeMs === undefined ? {} : {maxRetryTimeMs: settings.maxRetryTimeMs}),
      events: {
        onReconnecting: (waiting) => this.#tell(reconnecting(waiting)),
        onResumed: (awayMs, resumed, lost) =>
          this.#tell({type: 'resumed', awayMs: Math.round(awayMs), resumed, lost}),
        onNotice: (code, message) => this.#tell({type: 'notice', code, message}),
        onEnded: (error) => this.#onEnded(error),
      },
    });
    this.#prober = new Prober({
      dial: settings.dialPublic,
      ask: (request, signal) => this.#askForProbe(request, signal),
      isOffered: () => this.#agent.relayFeatures.includes(FEATURE_PROBE),
      clock: this.#clock,
    });
  }

  /** @throws TunlError when the relay gives no answer. */
  async #askForProbe(request: object, signal: AbortSignal): Promise<ProbeEnd> {
    let answer: Promise<Buffer> | undefined;
    const onOpen = (stream: Stream) => {
      answer = answerOf(stream, signal);
      answer.catch(() => {});
    };
    await this.open(KIND.service, request, {signal, onOpen});
    const {ok, leg = 'session', reason = ''} = parseProbeAnswer((await answer) ?? Buffer.alloc(0));
    return ok ? {ok, ms: {}} : {ok, leg, reason, ms: {}};
  }

  /** The number of tunnels that are open or being opened. */
  get size(): number {
    return this.#tunnels.size;
  }

  /** True when the agent ends or has ended: it takes no more tunnels. */
  get over(): boolean {
    return this.#over;
  }

  get tunnels(): readonly LocalTunnel[] {
    return [...this.#tunnels];
  }

  get rttMs(): number | undefined {
    return this.#agent.rttMs;
  }

  get isBehind(): boolean {
    return this.#agent.isBehind;
  }

  /** Resolves when visitors can come. The first tunnel brings the link up. @throws TunlError the reason why they cannot */
  async addTunnel(settings: TunnelSettings): Promise<LocalTunnel> {
    if (this.#over) throw new TunlError('CLOSED');
    const tunnel = new LocalTunnel(this, settings);
    this.#tunnels.add(tunnel);
    await tunnel.open();
    return tunnel;
  }

  /** Like `tunnel.close`: the other tunnels go on. */
  async removeTunnel(tunnel: LocalTunnel, options: {drainTimeoutMs?: number} = {}): Promise<void> {
    if (this.#tunnels.has(tunnel)) await tunnel.close(options);
  }

  /** Like `Agent.open`. Unread bytes of these streams count together with those of the visitors. */
  async open(kind: StreamKind, about: object, options: OpenOptions = {}): Promise<Stream> {
    const onOpen = (stream: Stream) => {
      const cut = () => {
        stream.reset('TOO_MUCH_UNREAD');
        stream.sink.onReset('TOO_MUCH_UNREAD');
      };
      const watched = this.unread.add({stream, cut});
      const gone = () => this.unread.delete(watched);
      stream.onGone = gone;
      options.onOpen?.(stream);
    };
    return await this.#agent.open(kind, about, {...options, onOpen});
  }

  // ── For its tunnels ──

  /** Resolves with the first link. */
  async start(): Promise<void> {
    this.#started ??= this.#start();
    await this.#started;
  }

  async #start(): Promise<void> {
    await this.#agent.start();
    if (this.#over) return;
    this.#network = watchNetwork({
      onChange: () => this.#agent.nudge(PROBE_MS),
      onWake: () => this.#agent.wake(PROBE_MS),
    });
  }

  async bind(wish: TunnelRequest, owner: BindingOwner): Promise<Bound> {
    const bound = this.#agent.bind(wish, owner);
    if (this.#settings.wait) return await bound;
    let timer: Timer | undefined;
    const look = () => {
      timer = this.#clock.after(AWAY_MS, () => {
        if (this.#agent.linked) look();
        else
          this.#agent.unbind(owner, new TunlError('RELAY_LOST', {reason: 'There is no link to the relay.'}));
      });
    };
    look();
    try {
      return await bound;
    } finally {
      timer?.cancel();
    }
  }

  unbind(owner: BindingOwner, error?: TunlError): void {
    this.#agent.unbind(owner, error);
  }

  restrict(owner: BindingOwner, cidr: AddressRules): void {
    this.#agent.restrict(owner, cidr);
  }

  probe(sides: PublicSides, options: {viaRelay: boolean}): Promise<Probed | undefined> {
    return this.#prober.probe(sides, options);
  }

  nextVisitor(): number {
    this.#visitors += 1;
    return this.#visitors;
  }

  isLast(tunnel: LocalTunnel): boolean {
    return this.#tunnels.size === 1 && this.#tunnels.has(tunnel);
  }

  /** One of several tunnels has ended. */
  drop(tunnel: LocalTunnel): void {
    this.#tunnels.delete(tunnel);
  }

  /** The last tunnel ends. The agent ends when its last bytes have arrived, or when their time is over. */
  async leave(lastBytesMs: number): Promise<void> {
    this.#endsNow();
    await this.#agent.leave(lastBytesMs);
  }

  /** The last tunnel ends at once, and so does the agent. */
  destroy(error: TunlError): void {
    this.#endsNow();
    this.#agent.destroy(error);
  }

  async gone(): Promise<void> {
    if (this.#over) await this.#agent.gone();
  }

  /** From now on the agent takes no more tunnels. */
  #endsNow(): void {
    if (this.#over) return;
    this.#over = true;
    this.#settings.onOver?.();
  }

  #onEnded(error: TunlError | undefined): void {
    this.#endsNow();
    this.unread.close();
    this.#network?.[Symbol.dispose]();
    for (const tunnel of [...this.#tunnels]) tunnel.agentEnded(error);
    this.#tunnels.clear();
  }

  /** All tunnels get the same object, so that a listener of several tunnels can see that it is one event. */
  #tell(event: TunnelEvent): void {
    for (const tunnel of [...this.#tunnels]) tunnel.tell(event);
  }

  /** Calls each sink once, even when several tunnels have it. */
  #log(record: LogRecord): void {
    for (const sink of new Set([...this.#tunnels].map(({log}) => log))) sink?.(record);
  }
}

function reconnecting({state, error, attempt, delayMs, streams, keptForMs}: Waiting): TunnelEvent {
  return {
    type: 'reconnecting',
    state,
    code: error.code,
    reason: error.message,
    attempt,
    delayMs: Math.round(delayMs),
    connections: streams,
    keptForMs,
  };
}
