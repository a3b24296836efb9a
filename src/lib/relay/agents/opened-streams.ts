// Streams that agents open at this relay: the handlers of their kinds, and the limits of each agent.

import type {UnreadLimit} from '../../bytes/unread-limit.js';
import {watchStream} from '../../bytes/watch-stream.js';
import type {Clock} from '../../core/clock.js';
import type {Stream} from '../../mux/stream.js';
import {offerStream, type StreamHandler} from '../../mux/stream-kinds.js';
import {formatHostPort} from '../../protocol/targets.js';
import {KIND, type StreamCode, type StreamKind} from '../../protocol/wire.js';
import type {Principal} from '../access/principal.js';
import type {ScopeKind} from '../access/rights.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import {Counts} from '../limits/counts.js';
import type {LimitReports} from '../limits/limit-reports.js';
import type {Part} from '../part.js';

/** How many streams the agent of one session may have. Visitors' streams do not count. */
export interface StreamBounds {
  /** Open at once. */
  readonly most: number;
  /**
   * Open at once in all sessions of an owner with a token of its own, unless the token has a number. Default: the handler has
   * a limit of owners.
   */
  readonly mostOfOwner?: number;
  /** Opened in a row, and the number a second after that. */
  readonly burst: number;
  readonly perSecond: number;
}

/** For all kinds together that have no bounds of their own. */
const USUAL: StreamBounds = {most: 1_024, mostOfOwner: 20_000, burst: 1_024, perSecond: 200};

interface Bounded {
  readonly most: number;
  readonly mostOfOwner: number | undefined;
  /** Open streams by session. */
  readonly open: Counts;
  /** Open streams by owner. */
  readonly ofOwner: Counts;
  readonly buckets: TokenBuckets;
}

/** The agent that opened a stream. */
export interface Opener {
  /** The session's id. */
  readonly session: string;
  readonly principal: Principal;
  /** Additions to the first form of the protocol that the agent supports. */
  readonly features: readonly string[];
}

/** @throws MalformedMessage */
export type ScopeOfStream = (about: Buffer) => Scope;

/** `to`: what a connection by egress is for. */
type Scope = readonly [kind: ScopeKind, what: string, to?: {readonly host: string; readonly port: number}];

type Refusal = [code: StreamCode, message: string];

const NOT_ALLOWED: Readonly<Refusal> = ['NOT_ALLOWED', 'The token does not allow this.'];

/** By the current record, because rights change while a session lives. Undefined: the principal has the scope. */
function refusalOf({rights, ended}: Principal, scope: Scope | undefined): Readonly<Refusal> | undefined {
  if (ended !== undefined) return NOT_ALLOWED;
  if (scope === undefined) return rights.scopes.length > 0 ? undefined : NOT_ALLOWED;
  const [kind, what, to] = scope;
  if (!rights.allows(kind, what)) return NOT_ALLOWED;
  if (to === undefined || rights.destinations.allow(to.host, to.port)) return undefined;
  return ['EGRESS_FORBIDDEN', `The token does not allow ${formatHostPort(to.host, to.port)}.`];
}

export interface OpenedStreamsOptions {
  /** Bounds the unread bytes of agents, together with those of visitors. */
  unread: Pick<UnreadLimit, 'add' | 'delete' | 'leave' | 'full'>;
  /** Hear of limits that are reached. */
  reports?: Pick<LimitReports, 'note'>;
  clock: Clock;
}

export class OpenedStreams implements Part {
  readonly #options: OpenedStreamsOptions;
  readonly #handlers: {[kind in StreamKind]?: StreamHandler<Opener>} = {};
  readonly #usual: Bounded;
  /** The kinds with bounds of their own. */
  readonly #bounded = new Map<StreamKind, Bounded>();
  /** Open streams of all kinds by owner. */
  readonly #ofOwner = new Counts();
  /** The principal of each open stream, and the scope that it needs. */
  readonly #allowed = new Map<Stream, {principal: Principal; scope: Scope | undefined}>();
  #draining = false;

  constructor(options: OpenedStreamsOptions) {
    this.#options = options;
    this.#usual = this.#boundedBy(USUAL);
  }

  /**
   * From now on `handler` gets streams of this kind.
   *
   * @param scopeOf the scope that an agent needs for such a stream, from its OPEN. Default: any scope at all.
   * @param bounds of this kind alone. Default: it shares the usual ones.
   */
  take(
    kind: StreamKind,
    handler: StreamHandler<Opener>,
    scopeOf?: ScopeOfStream,
    bounds?: StreamBounds,
  ): void {
    if (bounds !== undefined) this.#bounded.set(kind, this.#boundedBy(bounds));
    this.#handlers[kind] = (stream, about, opener) => {
      const scope = scopeOf?.(about);
      const refusal = refusalOf(opener.principal, scope);
      if (refusal !== undefined) {
        stream.refuse(...refusal);
        return;
      }
      this.#allowed.set(stream, {principal: opener.principal, scope});
      handler(stream, about, opener);
    };
  }

  /** The names of the kinds with a handler. */
  get kinds(): string[] {
    return Object.entries(KIND).flatMap(([name, kind]) => (kind in this.#handlers ? [name] : []));
  }

  /** The relay is shutting down: open streams continue, new ones are refused. */
  drain(): void {
    this.#draining = true;
  }

  offer(stream: Stream, about: Buffer, opener: Opener): void {
    const handlers = this.#handlers;
    const refusal = stream.kind in handlers ? this.#refusal(stream.kind, opener) : undefined;
    if (refusal !== undefined) {
      stream.refuse(...refusal);
      return;
    }
    if (stream.kind in handlers) this.#count(stream, opener);
    offerStream(handlers, stream, about, opener);
  }

  /** Rights may have changed: streams that they do not allow any more are reset. */
  recheck(): void {
    for (const [stream, {principal, scope}] of [...this.#allowed]) {
      const [code] = refusalOf(principal, scope) ?? [];
      if (code === undefined) continue;
      stream.reset(code);
      stream.sink.onReset(code);
    }
  }

  #refusal(kind: StreamKind, {session, principal}: Opener): [code: StreamCode, message?: string] | undefined {
    if (this.#draining) return ['DRAINING', 'The relay is shutting down.'];
    if (this.#options.unread.full) return ['TOO_MUCH_UNREAD'];
    const full = this.#mostOfOwner(kind, principal);
    if (full !== undefined) {
      this.#options.reports?.note('streams', 'owner', principal.owner);
      return ['TOO_MANY_STREAMS', `The owner may have ${full} streams open at once.`];
    }
    const {most, open, buckets} = this.#of(kind);
    if (open.of(session) >= most)
      return ['TOO_MANY_STREAMS', `An agent may have ${most} streams of its own open at once.`];
    if (buckets.has(session)) return undefined;
    const seconds = Math.ceil(buckets.waitMs(session) / 1_000);
    return ['TOO_MANY_STREAMS', `Too many streams in a row; the next in ${seconds} s.`];
  }

  /** The limit of the owner that is reached. Undefined: none is. */
  #mostOfOwner(kind: StreamKind, {owner, tokenId, limits}: Principal): number | undefined {
    const {maxStreams} = limits;
    if (maxStreams !== undefined) return this.#ofOwner.of(owner) >= maxStreams ? maxStreams : undefined;
    const {mostOfOwner, ofOwner} = this.#of(kind);
    if (tokenId === undefined || mostOfOwner === undefined) return undefined;
    return ofOwner.of(owner) >= mostOfOwner ? mostOfOwner : undefined;
  }

  #count(stream: Stream, {session, principal: {owner}}: Opener): void {
    const {unread} = this.#options;
    const {open, ofOwner, buckets} = this.#of(stream.kind);
    buckets.spend(session);
    open.add(session, 1);
    ofOwner.add(owner, 1);
    this.#ofOwner.add(owner, 1);
    const unwatch = watchStream(unread, stream);
    const gone = () => {
      unwatch();
      this.#allowed.delete(stream);
      open.add(session, -1);
      ofOwner.add(owner, -1);
      this.#ofOwner.add(owner, -1);
    };
    stream.onGone = gone;
  }

  #of(kind: StreamKind): Bounded {
    return this.#bounded.get(kind) ?? this.#usual;
  }

  #boundedBy({most, mostOfOwner, burst, perSecond}: StreamBounds): Bounded {
    const {clock} = this.#options;
    const buckets = new TokenBuckets({burst, perSecond, clock});
    return {most, mostOfOwner, open: new Counts(), ofOwner: new Counts(), buckets};
  }
}
