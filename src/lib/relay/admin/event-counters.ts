// Counts the events of a relay, of all its processes, since its start. Names of counters come from the code alone.

import type {RelayEvent, RelayListener} from '../events.js';

export class EventCounters {
  readonly #counts = new Map<string, number>();
  /** Refusals by their reason. */
  readonly #refusals = new Map<string, number>();

  readonly listen: RelayListener = (event) => {
    // Many of the same kind are told as one event with their number.
    const times = 'times' in event && event.times !== undefined ? event.times : 1;
    add(this.#counts, event.type, times);
    const reason = refusalOf(event);
    if (reason !== undefined) add(this.#refusals, reason, times);
  };

  of(type: RelayEvent['type']): number {
    return this.#counts.get(type) ?? 0;
  }

  /** Sorted by reason. */
  get refusals(): [reason: string, count: number][] {
    return [...this.#refusals].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** A word of a closed set: never text of a stranger. */
export function refusalOf(event: RelayEvent): string | undefined {
  switch (event.type) {
    case 'bind-refused':
    case 'member-refused':
      return event.code.toLowerCase();
    case 'token-refused':
      return 'token_wrong';
    case 'handshake-failed':
      return 'handshake_failed';
    case 'protocol-refused':
      return 'visitor_protocol';
    case 'certificate-refused':
      return 'visitor_distrust';
    case 'turned-away':
      return `turned_away_${event.because.replaceAll('-', '_')}`;
    case 'login-refused':
      return event.code.toLowerCase();
    case 'address-refused':
      return 'visitor_address';
    case 'egress-refused':
      return `egress_${event.code.toLowerCase()}`;
    case 'limit-reached':
      return `limit_${event.limit}_of_${event.by}`.replaceAll('-', '_');
    case 'egress-opened':
    case 'egress-closed':
    case 'egress-address-lost':
    case 'egress-address-back':
    case 'agent-connected':
    case 'agent-away':
    case 'agent-resumed':
    case 'agent-gone':
    case 'tunnel-bound':
    case 'tunnel-lost':
    case 'tunnel-released':
    case 'tunnel-withdrawn':
    case 'token-ended':
    case 'member-joined':
    case 'member-left':
    case 'visitor-left-at-once':
    case 'certificate-expired':
    case 'probe-failed':
    case 'probe-recovered':
    case 'reloaded':
    case 'reload-failed':
    case 'issuer-away':
    case 'issuer-back':
    case 'kicked':
    case 'blocked':
    case 'unblocked':
    case 'drain-requested':
    case 'worker-ended':
    case 'tokens-read':
    case 'tokens-unreadable':
      return undefined;
  }
}

function add(counts: Map<string, number>, name: string, times: number): void {
  counts.set(name, (counts.get(name) ?? 0) + times);
}
