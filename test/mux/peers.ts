// An agent's and a relay's session that find each other again over one pair of carriers after the other, by the real
// handshake. Each has its own pool, so its blocks can be counted; time stands still unless the test moves it.
import {TunlError} from '../../src/lib/core/errors.js';
import type {Carrier} from '../../src/lib/mux/carrier.js';
import {greetAgent, greetRelay, refuseHello} from '../../src/lib/mux/handshake.js';
import {Link} from '../../src/lib/mux/link.js';
import {AgentTicket, RelayTicket} from '../../src/lib/mux/resume-ticket.js';
import {Session, type SessionOptions, type SessionSink} from '../../src/lib/mux/session.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import type {Hello, Welcome} from '../../src/lib/protocol/link-messages.js';
import {ManualClock} from '../helpers/manual-clock.js';
import {CountingPool} from './counting-pool.js';
import type {Side} from './stream-end.js';

export interface Carriers {
  agent: Carrier;
  relay: Carrier;
}

export type Tuning = Partial<Omit<SessionOptions, 'role' | 'sink' | 'pool' | 'clock'>>;

export interface PeersOptions extends Tuning {
  clock?: ManualClock;
  /** Shared by both. Default: one for each. */
  pool?: CountingPool;
  /** Called for streams that the other side opened. Default: refused. */
  onOpen?: (side: Side, stream: Stream, about: Buffer) => void;
  onControl?: (side: Side, payload: Buffer) => void;
}

export class Peers {
  readonly clock: ManualClock;
  readonly pools: Record<Side, CountingPool>;
  readonly #options: PeersOptions;
  agent: Session | undefined;
  relay: Session | undefined;
  /** Why a session ended; null after an orderly end. */
  readonly ends: Partial<Record<Side, TunlError | null>> = {};
  readonly detached: Record<Side, number> = {agent: 0, relay: 0};
  #agentTicket: AgentTicket | undefined;
  #relayTicket: RelayTicket | undefined;

  constructor(options: PeersOptions = {}) {
    this.#options = options;
    this.clock = options.clock ?? new ManualClock();
    const {pool} = options;
    this.pools = {agent: pool ?? new CountingPool(), relay: pool ?? new CountingPool()};
  }

  session(side: Side): Session {
    const session = this[side];
    if (session === undefined) throw new Error(`no session at the ${side} yet`);
    return session;
  }

  /** Resolves when both have attached these carriers. The old link may still exist. */
  async connect({agent, relay}: Carriers): Promise<void> {
    const attached = Promise.withResolvers<void>();
    const relayLink = new Link(relay, {clock: this.clock});
    greetAgent(relayLink, {
      software: 'relay/test',
      clock: this.clock,
      timeoutMs: 10_000,
      onHello: (hello, nonce) => {
        this.#welcome(relayLink, hello, nonce);
        attached.resolve();
      },
      onFailed: (error) => attached.reject(error ?? new Error('closed during the handshake')),
    });
    const agentLink = new Link(agent, {clock: this.clock});
    const ticket = this.#agentTicket;
    const resume = ticket === undefined ? undefined : {ticket, received: this.session('agent')};
    const greeted = greetRelay(
      agentLink,
      {software: 'agent/test', clock: this.clock, ...(resume === undefined ? {} : {resume})},
      (welcome) => this.#attach(agentLink, welcome),
    );
    await Promise.all([attached.promise, greeted]);
  }

  #sink(side: Side): SessionSink {
    return {
      onOpen: (stream, about) => {
        const {onOpen} = this.#options;
        if (onOpen === undefined) stream.refuse('CANCELLED');
        else onOpen(side, stream, about);
      },
      onControl: (payload) => this.#options.onControl?.(side, payload),
      onDetached: () => {
        this.detached[side] += 1;
      },
      onEnded: (error) => {
        if (side in this.ends) throw new Error(`the ${side}'s session ended twice`);
        this.ends[side] = error ?? null;
      },
    };
  }

  #newSession(role: Side): Session {
    const {onOpen: _, onControl: __, clock: ___, pool: ____, ...tuning} = this.#options;
    return new Session({
      resumeWindowMs: 3_600_000,
      ...tuning,
      role,
      sink: this.#sink(role),
      pool: this.pools[role],
      clock: this.clock,
    });
  }

  #attach(link: Link, welcome: Welcome): void {
    if (this.agent === undefined) {
      this.agent = this.#newSession('agent');
      this.#agentTicket = new AgentTicket(welcome.id, welcome.secret ?? '', welcome.epoch);
    }
    this.agent.attach(link, welcome.received);
  }

  #welcome(link: Link, hello: Hello, relayNonce: string): void {
    if (hello.resume === undefined) this.#begin(link);
    else this.#resume(link, hello.nonce, relayNonce, hello.resume);
  }

  #begin(link: Link): void {
    // The welcome to an earlier hello was lost: the agent does not know that session.
    this.relay?.destroy(new TunlError('SESSION_STALE'));
    delete this.ends.relay;
    const ticket = new RelayTicket();
    const {id, epoch} = ticket;
    this.#relayTicket = ticket;
    this.relay = this.#newSession('relay');
    link.sendMessage({
      type: 'welcome',
      id,
      secret: ticket.firstSecret,
      epoch,
      received: 0,
      resumeWindowMs: 1,
    });
    this.relay.attach(link, 0);
  }

  #resume(link: Link, agentNonce: string, relayNonce: string, asked: NonNullable<Hello['resume']>): void {
    const {id, epoch, received, proof} = asked;
    const session = this.relay;
    const verdict = this.#relayTicket?.check({epoch, agentNonce, relayNonce}, received, proof);
    if (session === undefined || session.ended || verdict === undefined || !verdict.ok) {
      const code = verdict === undefined || verdict.ok ? 'SESSION_UNKNOWN' : verdict.code;
      refuseHello(link, code, 'This resume cannot be.');
      return;
    }
    const count = session.receivedBytes;
    const answer = verdict.answer(count);
    link.sendMessage({type: 'welcome', id, epoch, received: count, resumeWindowMs: 1, proof: answer});
    session.attach(link, received);
  }
}

/** One turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
