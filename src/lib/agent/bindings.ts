// The binds of this agent at its relay: requests and their answers. They are kept so that a new session can repeat the
// requests.

import {isErrorCode, TunlError} from '../core/errors.js';
import {randomBytes} from '../core/node-crypto.js';
import type {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import {AddressFilter} from '../net/address-filter.js';
import {
  type AddressRules,
  type AgentMessage,
  parseRelayMessage,
  parseVisitorOpen,
  type RelayMessage,
  type TunnelRequest,
  type VisitorOpen,
} from '../protocol/control-messages.js';
import {FEATURE_CIDR} from '../protocol/link-messages.js';
import {PROBE_PROTOCOL} from '../protocol/probe.js';
import {endsTunnel} from './last-word.js';
import {Rebinds, type RebindsOptions} from './rebinds.js';

/** The public side that the relay gave. */
export interface Bound {
  host: string;
  port: number;
  /** Grows with each takeover of the name or port. */
  epoch: number;
}

export interface BindingOwner {
  onVisitor(stream: Stream, visitor: VisitorOpen): void;
  /** The relay has given this side. Called before the first visitor of it, who may come in the same read. */
  onBound?(kind: TunnelRequest['kind'], bound: Bound): void;
  /** The relay says why visitors may fail. */
  onWarning?(code: string, message: string): void;
  /** The agent has lost the tunnel for good. */
  onLost(error: TunlError): void;
}

export interface BindingsOptions extends RebindsOptions {
  /** Sends over the current session, in order. Without a session nothing happens: the next session asks for everything. */
  send: (message: AgentMessage) => void;
  /** True when there is a session, and its relay has not announced the feature. */
  lacks: (feature: string) => boolean;
  /** Takes a visitor's stream that speaks the protocol of probes: no tunnel gets it. */
  onProbe: (stream: Stream) => void;
}

interface Binding {
  /** Replaced by each change. */
  wish: TunnelRequest;
  /** The rules that have replaced those of the first request: a relay that is shutting down does not get them. */
  newRules: AddressFilter | undefined;
  owner: BindingOwner;
  /** The relay's number for it in the current session. */
  tunnel: number | undefined;
  bound: Bound | undefined;
  settle: ((result: Bound | TunlError) => void) | undefined;
}

interface Asked {
  readonly binding: Binding;
  /** The rules that the request has: others may have replaced them before the answer. */
  readonly cidr: AddressRules | undefined;
}

export class Bindings {
  readonly #send: BindingsOptions['send'];
  readonly #lacks: BindingsOptions['lacks'];
  readonly #onProbe: BindingsOptions['onProbe'];
  readonly #rebinds: Rebinds<Binding>;
  /** Distinguishes this agent's claims from those of others of the same owner. */
  readonly #holder = randomBytes(16).toString('hex');
  #nextRequest = 1;
  readonly #asked = new Map<number, Asked>();
  readonly #all = new Set<Binding>();
  /** By the number that the relay of the current session has given. */
  #byTunnel = new Map<number, Binding>();
  /** The same for each session, because every relay counts from 1, and one that is shutting down still has visitors. */
  readonly #bySession = new WeakMap<Session, ReadonlyMap<number, Binding>>();
  #hasServed = false;

  constructor(options: BindingsOptions) {
    this.#send = options.send;
    this.#lacks = options.lacks;
    this.#onProbe = options.onProbe;
    this.#rebinds = new Rebinds(options);
  }

  add(wish: TunnelRequest, owner: BindingOwner): Promise<Bound> {
    return new Promise((resolve, reject) => {
      const none = {newRules: undefined, tunnel: undefined, bound: undefined, settle: undefined};
      const binding: Binding = {wish, owner, ...none};
      binding.settle = (result) => {
        binding.settle = undefined;
        if (result instanceof TunlError) {
          this.#all.delete(binding);
          reject(result);
        } else resolve(result);
      };
      this.#all.add(binding);
      this.#ask(binding);
    });
  }

  /** A visitor's stream goes to the tunnel's owner. @throws MalformedMessage */
  onVisitor(stream: Stream, about: Buffer, session: Session): void {
    const visitor = parseVisitorOpen(about);
    if (visitor.alpn === PROBE_PROTOCOL) {
      this.#onProbe(stream);
      return;
    }
    const binding = this.#bySession.get(session)?.get(visitor.tunnel);
    if (binding === undefined || !this.#all.has(binding)) stream.refuse('TUNNEL_UNKNOWN');
    else if (binding.newRules?.admits(visitor.address) === false) stream.refuse('CANCELLED');
    else binding.owner.onVisitor(stream, visitor);
  }

  /** True when no tunnel is bound yet, and somebody waits for the first answer. */
  get unanswered(): boolean {
    return !this.#hasServed && this.#all.size > 0;
  }

  /** Somebody relies on this agent, even without a tunnel. */
  served(): void {
    this.#hasServed = true;
  }

  /** Whether a tunnel was bound before: visitors may know its address. Or somebody relies on this agent without one. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  tunnels(): number[] {
    return [...this.#byTunnel.keys()];
  }

  /** A new session asks for everything again, for exactly the same names and ports. */
  bindAgain(session: Session): void {
    this.#rebinds.clear();
    this.#asked.clear();
    this.#byTunnel = new Map();
    this.#bySession.set(session, this.#byTunnel);
    for (const binding of this.#all) {
      binding.tunnel = undefined;
      this.#ask(binding);
    }
  }

  /** The owner wants no more visitors: its tunnels are given up, its pending binds fail with `error`. Open streams go on. */
  drop(owner: BindingOwner, error: TunlError): void {
    for (const binding of [...this.#all]) {
      if (binding.owner !== owner) continue;
      this.#all.delete(binding);
      this.#rebinds.drop(binding);
      binding.settle?.(error);
      if (binding.tunnel !== undefined) this.#giveUp(binding.tunnel);
    }
  }

  /**
   * New addresses for the visitors of all tunnels of this owner, now and when they are bound again.
   *
   * @throws TunlError RELAY_LACKS_FEATURE; nothing has changed.
   */
  restrict(owner: BindingOwner, cidr: AddressRules): void {
    if (this.#lacks(FEATURE_CIDR)) throw NO_CIDR();
    const newRules = new AddressFilter(cidr);
    for (const binding of this.#all) {
      if (binding.owner !== owner) continue;
      binding.wish = {...binding.wish, cidr};
      binding.newRules = newRules;
      if (binding.tunnel !== undefined) this.#send({type: 'restrict', tunnel: binding.tunnel, cidr});
    }
  }

  #giveUp(tunnel: number): void {
    this.#byTunnel.delete(tunnel);
    this.#send({type: 'unbind', tunnel});
  }

  fail(error: TunlError): void {
    for (const binding of this.#all) binding.settle?.(error);
    this.#rebinds.clear();
    this.#all.clear();
    this.#asked.clear();
    this.#byTunnel.clear();
  }

  /** @throws MalformedMessage */
  onControl(payload: Buffer): void {
    const message = parseRelayMessage(payload);
    switch (message.type) {
      case 'bound':
        this.#onBound(message);
        return;
      case 'bind-refused': {
        const binding = this.#asked.get(message.request)?.binding;
        this.#asked.delete(message.request);
        if (binding !== undefined) this.#refused(binding, errorOf(message.code, message.message));
        return;
      }
      case 'unbound': {
        const binding = this.#byTunnel.get(message.tunnel);
        this.#byTunnel.delete(message.tunnel);
        if (binding !== undefined) this.#refused(binding, errorOf(message.code, message.message));
        return;
      }
      case 'warning':
        this.#byTunnel.get(message.tunnel)?.owner.onWarning?.(message.code, message.message);
    }
  }

  /** The relay refuses the tunnel, or takes it back. */
  #refused(binding: Binding, error: TunlError): void {
    const isFirst = binding.settle !== undefined;
    if (isFirst || endsTunnel(error)) this.#lose(binding, error);
    else if (!this.#rebinds.refused(binding, error, () => this.#ask(binding))) {
      this.#lose(binding, new TunlError('RELAY_LOST', {reason: `gave up: ${error.message}`, cause: error}));
    }
  }

  #onBound(message: RelayMessage & {type: 'bound'}): void {
    const asked = this.#asked.get(message.request);
    this.#asked.delete(message.request);
    if (asked === undefined) return;
    const {binding} = asked;
    if (!this.#all.has(binding)) {
      this.#giveUp(message.tunnel);
      return;
    }
    const {host, port, epoch} = message;
    const before = binding.bound;
    if (before !== undefined && (before.host !== host || before.port !== port)) {
      this.#lose(
        binding,
        new TunlError('BIND_REFUSED', {reason: 'The relay gave another address than before.'}),
      );
      return;
    }
    binding.bound = {host, port, epoch};
    binding.tunnel = message.tunnel;
    this.#byTunnel.set(message.tunnel, binding);
    const {cidr} = binding.wish;
    if (cidr !== undefined && cidr !== asked.cidr)
      this.#send({type: 'restrict', tunnel: message.tunnel, cidr});
    this.#hasServed = true;
    this.#rebinds.bound(binding);
    binding.owner.onBound?.(binding.wish.kind, binding.bound);
    binding.settle?.(binding.bound);
    if (message.warning !== undefined) binding.owner.onWarning?.('RELAY_CERTIFICATE', message.warning);
  }

  #lose(binding: Binding, error: TunlError): void {
    this.#all.delete(binding);
    this.#rebinds.drop(binding);
    if (binding.settle === undefined) binding.owner.onLost(error);
    else binding.settle(error);
  }

  #ask(binding: Binding): void {
    if (binding.wish.cidr !== undefined && this.#lacks(FEATURE_CIDR)) {
      this.#refused(binding, NO_CIDR());
      return;
    }
    const request = this.#nextRequest++;
    this.#asked.set(request, {binding, cidr: binding.wish.cidr});
    const {bound} = binding;
    this.#send({
      type: 'bind',
      request,
      wish: exactly(binding),
      holder: this.#holder,
      ...(bound === undefined ? {} : {epoch: bound.epoch}),
    });
  }
}

/** The request for the same name or port, so that the address never changes unnoticed. */
function exactly({wish, bound}: Binding): TunnelRequest {
  if (bound === undefined) return wish;
  if (wish.kind === 'tcp') {
    const {prefer: _, ...same} = wish;
    return {...same, port: bound.port};
  }
  const {prefer: _, ...same} = wish;
  return {...same, name: bound.host.slice(0, bound.host.indexOf('.'))};
}

const NO_CIDR = (): TunlError =>
  new TunlError('RELAY_LACKS_FEATURE', {
    reason: 'The relay is too old to refuse visitors by their addresses.',
    next: 'Update the relay, or leave out cidrAllow and cidrDeny (--cidr-allow, --cidr-deny).',
  });

function errorOf(code: string, message: string): TunlError {
  return new TunlError(isErrorCode(code) ? code : 'BIND_REFUSED', {reason: message, fromRelay: true});
}
