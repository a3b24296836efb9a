// The lines of the audit file: who did what, from where. Each is made from an event of the relay.

import type {Clock} from '../../core/clock.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {RelayEvent} from '../events.js';

export interface AuditLine {
  /** ISO 8601. */
  time: string;
  /** The type of the event. */
  what: string;
  owner?: string | undefined;
  tokenId?: string | undefined;
  from?: string | undefined;
  [about: string]: unknown;
}

/** The events that are no part of an audit: states of links and of the relay itself, and failures of visitors. */
const LEFT_OUT: ReadonlySet<RelayEvent['type']> = new Set<RelayEvent['type']>([
  'agent-away',
  'agent-resumed',
  'handshake-failed',
  'certificate-refused',
  'visitor-left-at-once',
  'protocol-refused',
  'address-refused',
]);

/**
 * The lines of one owner or address at once, enough for an agent that binds all its tunnels again after a restart, and the lines a
 * second after that. Those beyond it are counted.
 */
const OF_ONE = {burst: 1_000, perSecond: 10};
/** The same for a kind of refusal of one owner or address: repeating it is no news. */
const REFUSALS_OF_ONE = {burst: 10, perSecond: 0.1};
/** The lines of one owner about its connections by egress, each of which has two. */
const EGRESS_OF_ONE = {burst: 4_000, perSecond: 20};
/** All of them together: 200 bytes each, so at most 2 GB a day, whatever strangers do. */
const ALL = {burst: 20_000, perSecond: 100};

interface Agent {
  owner: string;
  tokenId: string | undefined;
  from: string;
}

/** Turns events into lines, at most so many that strangers cannot fill a disk. */
export class AuditLog {
  /** The sessions that are connected, by name: later events of a session name only the session. */
  readonly #agents = new Map<string, Agent>();
  readonly #buckets: Record<'one' | 'refusals' | 'egress' | 'all', TokenBuckets>;
  /** Lines that were left out since the last line. */
  #omitted = 0;

  constructor(clock: Clock) {
    const buckets = (limit: {burst: number; perSecond: number}) => new TokenBuckets({...limit, clock});
    this.#buckets = {
      one: buckets(OF_ONE),
      refusals: buckets(REFUSALS_OF_ONE),
      egress: buckets(EGRESS_OF_ONE),
      all: buckets(ALL),
    };
  }

  /** The lines of an event: none, one, or two when lines were left out before. */
  linesOf(event: RelayEvent, now = new Date()): AuditLine[] {
    const line = this.#lineOf(event, now);
    if (line === undefined) return [];
    if (!this.#admits(line)) {
      this.#omitted += 1;
      return [];
    }
    if (this.#omitted === 0) return [line];
    const times = this.#omitted;
    this.#omitted = 0;
    return [{time: now.toISOString(), what: 'lines-omitted', times}, line];
  }

  #lineOf(event: RelayEvent, now: Date): AuditLine | undefined {
    const {type, ...fields} = event;
    const {what: kind, ...about} = fields as typeof fields & {what?: string};
    const time = now.toISOString();
    if (event.type === 'agent-connected') {
      const {session, owner, tokenId} = event;
      const from = event.from.replace(/^wss /, '');
      this.#agents.set(session, {owner, tokenId, from});
      return {time, what: type, owner, tokenId, from, session};
    }
    const agent = 'session' in event ? this.#agents.get(event.session) : undefined;
    if (event.type === 'agent-gone') this.#agents.delete(event.session);
    return LEFT_OUT.has(type)
      ? undefined
      : {time, what: type, ...(kind !== undefined && {kind}), ...agent, ...about};
  }

  #admits({what, owner, from, code, limit, of}: AuditLine): boolean {
    const {one, refusals, egress, all} = this.#buckets;
    const source = `${owner ?? from ?? of ?? 'relay'}`;
    const isRefusal = what.endsWith('-refused') || what === 'turned-away' || what === 'limit-reached';
    const isEgress = what === 'egress-opened' || what === 'egress-closed';
    const [bucket, key] = isRefusal
      ? [refusals, `${what} ${code ?? limit} ${source}`]
      : [isEgress ? egress : one, source];
    if (!bucket.has(key) || !all.has('all')) return false;
    bucket.spend(key);
    all.spend('all');
    return true;
  }
}
