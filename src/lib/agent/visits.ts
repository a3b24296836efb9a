// Counts and reports the visitors of one tunnel, and sometimes reports that its upstream does not answer.

import {systemClock} from '../core/clock.js';
import {systemCode, TunlError} from '../core/errors.js';
import {LinkedList} from '../core/linked-list.js';
import {Moment} from '../core/moment.js';
import type {Stream} from '../mux/stream.js';
import {AddressFilter} from '../net/address-filter.js';
import type {AddressRules, VisitorOpen} from '../protocol/control-messages.js';
import {formatHostPort} from '../protocol/targets.js';
import type {StreamCode} from '../protocol/wire.js';
import type {ConnectionEvent, TunnelEvent} from './events.js';
import {visitEnd} from './stream-reasons.js';
import {LOOP, type UpstreamJoin, type UpstreamVisit} from './upstream-join.js';
import {withNextStep} from './upstream-watch.js';
import type {StreamGate} from './upstreams/gated/stream-gate.js';

/** At most one line about a silent upstream in this time, ms: a browser that reloads sends many requests a second. */
const NOTICE_EVERY_MS = 5_000;

/** Errors of a dial that say nothing about the upstream. */
const OWN_LIMITS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE']);

export interface VisitsOptions {
  upstream: UpstreamJoin;
  /** Lets visitors in; undefined: everybody. */
  gate?: StreamGate | undefined;
  onEvent: (event: TunnelEvent) => void;
  /** Called after each visitor: whether the upstream accepted it. */
  onDialled: (answered: boolean, why?: Error) => void;
  /** The upstream gave no answer to a request that a gate let in. */
  onUnanswered?: UpstreamVisit['onGateUnanswered'];
  /** Numbers visitors. */
  nextId: () => number;
}

interface Visit extends UpstreamVisit {
  visitor: VisitorOpen;
}

export class Visits {
  readonly #upstream: UpstreamJoin;
  readonly #gate: StreamGate | undefined;
  readonly #onEvent: (event: TunnelEvent) => void;
  readonly #onDialled: (answered: boolean, why?: Error) => void;
  readonly #onUnanswered: UpstreamVisit['onGateUnanswered'];
  readonly #nextId: () => number;
  /** The present visitors. */
  readonly #open = new LinkedList<Visit>();
  #total = 0;
  /** The bytes of visitors that have left. */
  #bytesIn = 0;
  #bytesOut = 0;
  readonly #idle = new Moment();
  #notice: {at: number; kept: number} | undefined;

  constructor({upstream, gate, onEvent, onDialled, onUnanswered, nextId}: VisitsOptions) {
    this.#upstream = upstream;
    this.#gate = gate;
    this.#onEvent = onEvent;
    this.#onDialled = onDialled;
    this.#onUnanswered = onUnanswered;
    this.#nextId = nextId;
  }

  get open(): number {
    return this.#open.size;
  }

  get total(): number {
    return this.#total;
  }

  /** The bytes of all visitors so far, with the present ones. */
  get traffic(): {bytesIn: number; bytesOut: number} {
    let bytesIn = this.#bytesIn;
    let bytesOut = this.#bytesOut;
    for (const {stream} of this.#open) {
      bytesIn += stream.bytesIn;
      bytesOut += stream.bytesOut;
    }
    return {bytesIn, bytesOut};
  }

  /** Each is the same object as long as the visitor is there. */
  get visitors(): Iterable<{readonly bytesIn: number}> {
    return [...this.#open].map(({stream}) => stream);
  }

  begin = (stream: Stream, visitor: VisitorOpen): void => {
    const id = this.#nextId();
    const from = formatHostPort(visitor.address, visitor.port);
    const since = systemClock.now();
    let opened = false;
    const event = (state: ConnectionEvent['state'], code?: StreamCode): ConnectionEvent => ({
      type: 'connection',
      state,
      id,
      visitor: from,
      via: visitor.via,
      bytesIn: stream.bytesIn,
      bytesOut: stream.bytesOut,
      durationMs: state === 'open' ? 0 : Math.round(systemClock.now() - since),
      ...visitEnd(code),
    });
    const visit: Visit = {
      stream,
      from,
      visitor,
      onOpen: (dialled) => {
        opened = true;
        this.#total += 1;
        this.#onEvent(event('open'));
        if (dialled) this.#onDialled(true);
      },
      onDone: (code: StreamCode | undefined, cause, gotPage = false) => {
        this.#open.delete(here);
        this.#bytesIn += stream.bytesIn;
        this.#bytesOut += stream.bytesOut;
        if (cause !== undefined) this.#complain(cause, gotPage ? 'got the offline page' : 'was reset');
        this.#onEvent(event(opened ? 'closed' : 'refused', code));
        if (cause !== undefined) this.#onDialled(false, cause);
        if (this.#open.size === 0) this.#idle.happen();
      },
      onComplaint: (error) => this.#complain(error),
      onGateDialled: (error) => {
        if (error !== undefined) this.#complain(error, 'got an error page');
        this.#onDialled(error === undefined, error);
      },
      ...(this.#onUnanswered !== undefined && {onGateUnanswered: this.#onUnanswered}),
    };
    const here = this.#open.push(visit);
    if (this.#gate === undefined) this.#upstream.visit(visit);
    else this.#gate.admit(visit, (admitted) => this.#upstream.visit(admitted));
  };

  /** Resolves when no visitor is left. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await this.#idle.next();
  }

  /**
   * Resets the present visitors whom these rules do not admit. The relay does so as well, but not for a tunnel that was given
   * up, or in a session to which it has said goodbye.
   */
  restrict(rules: AddressRules): void {
    const filter = new AddressFilter(rules);
    this.cut(({address}) => !filter.admits(address));
  }

  /** Resets the present visitors for whom this holds. */
  cut(isMeant: (visitor: VisitorOpen) => boolean = () => true): void {
    for (const {stream, visitor} of [...this.#open]) {
      if (!isMeant(visitor)) continue;
      stream.reset('CANCELLED');
      stream.sink.onReset('CANCELLED');
    }
  }

  #complain(
    cause: Error,
    fate: 'got the offline page' | 'got an error page' | 'was reset' = 'was reset',
  ): void {
    const now = systemClock.now();
    if (this.#notice !== undefined && now - this.#notice.at < NOTICE_EVERY_MS) {
      this.#notice.kept += 1;
      return;
    }
    const more = this.#notice?.kept ?? 0;
    this.#notice = {at: now, kept: 0};
    const before = more === 0 ? '' : ` (and ${more} more visitors since the last line)`;
    if (cause instanceof TunlError) {
      this.#onEvent({
        type: 'notice',
        code: cause.code,
        message: `the visitor ${fate}${before}: ${withNextStep(cause)}`,
      });
      return;
    }
    const why = systemCode(cause) || 'ECONNREFUSED';
    if (OWN_LIMITS.has(why)) {
      this.#onEvent({
        type: 'notice',
        code: 'UPSTREAM_REFUSED',
        message: `tunl itself has no free file descriptors (${why}), so it cannot reach ${this.#upstream.label}: the visitor was reset${before}; raise \`ulimit -n\``,
      });
      return;
    }
    const what =
      cause === LOOP
        ? "is the tunnel's own public port"
        : why === 'ETIMEDOUT'
          ? `does not answer in time (${why}; its host is down, or a firewall drops the packets)`
          : `does not accept connections (${why})`;
    this.#onEvent({
      type: 'notice',
      code: 'UPSTREAM_REFUSED',
      message: `${this.#upstream.label} ${what}: the visitor ${fate}${before}`,
    });
  }
}
