// One agent and the tunnels that share its link: they come and go, and the agent ends with the last one.

import type {UnreadLimit} from '../bytes/unread-limit.js';
import type {ProbeEnd} from '../carrier/probe.js';
import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {LogRecord} from '../core/logger.js';
import type {BlockPool} from '../mux/blocks.js';
import type {Stream} from '../mux/stream.js';
import {type AddressRules, parseProbeAnswer, type TunnelRequest} from '../protocol/control-messages.js';
import {FEATURE_PROBE} from '../protocol/link-messages.js';
import {KIND, type StreamKind} from '../protocol/wire.js';
import type {Agent} from './agent.js';
import {answerOf} from './ask-relay.js';
import type {BindingOwner, Bound} from './bindings.js';
import type {ReadyEvent, TunnelEvent} from './events.js';
import {LinkedAgent, type LinkSettings} from './linked-agent.js';
import type {OpenOptions} from './opens.js';
import {type Probed, Prober, type ProberOptions} from './prober.js';
import {LocalTunnel} from './tunnel.js';
import type {PublicSides} from './tunnel-requests.js';
import type {TunnelHost, TunnelSettings} from './tunnel-settings.js';

/** The link of tunnels: their names are probed, too. */
export interface TunnelLinkSettings extends LinkSettings {
  /** Dials a public name as a visitor does. */
  dialPublic: ProberOptions['dial'];
}

/** How long a new tunnel waits for its answer without a link, ms. */
const AWAY_MS = 10_000;

export class TunnelAgent implements TunnelHost {
  readonly #settings: TunnelLinkSettings;
  readonly #clock: Clock = systemClock;
  readonly #linked: LinkedAgent;
  readonly #agent: Agent;
  readonly #prober: Prober;
  readonly #tunnels = new Set<LocalTunnel>();
  #over = false;
  #visitors = 0;

  constructor(settings: TunnelLinkSettings) {
    this.#settings = settings;
    this.#linked = new LinkedAgent(settings, {
      onEvent: (event) => this.#tell(event),
      log: (record) => this.#log(record),
      onProbe: (stream) => this.#prober.answer(stream),
      onEnded: (error) => this.#onEnded(error),
    });
    this.#agent = this.#linked.agent;
    this.#prober = new Prober({
      dial: settings.dialPublic,
      ask: (request, signal) => this.#askForProbe(request, signal),
      isOffered: () => this.#agent.relayFeatures.includes(FEATURE_PROBE),
      clock: this.#clock,
    });
  }

  get relay(): ReadyEvent['relay'] {
    return this.#linked.relay;
  }

  get pool(): BlockPool {
    return this.#linked.pool;
  }

  get unread(): UnreadLimit {
    return this.#linked.unread;
  }

  /** @throws TunlError when the relay gives no answer. */
  async #askForProbe(request: object, signal: AbortSignal): Promise<ProbeEnd> {
    let answer: Promise<Buffer> | undefined;
    const onOpen = (stream: Stream) => {
      answer = answerOf(stream, {signal});
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

  /** As `LinkedAgent.open`. */
  async open(kind: StreamKind, about: object, options: OpenOptions = {}): Promise<Stream> {
    return await this.#linked.open(kind, about, options);
  }

  // ── For its tunnels ──

  /** Resolves with the first link. */
  async start(): Promise<void> {
    await this.#linked.start();
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
