// The result of a probe of the public name, in words.

import type {ProbeEvent, ProbeLeg} from '../agent/events.js';
import type {TunnelState} from './tunnel-state.js';
import type {Line} from './wording.js';

/** @param before the state that this event changes */
export function probe(event: ProbeEvent & {tunnel?: string}, {tunnels}: TunnelState): Line[] {
  const {state, leg, by, reason = '', next = '', tunnel = ''} = event;
  const facts = tunnels.get(tunnel);
  // The address of a private tunnel is a secret.
  const {link, url, address: whole = 'the address'} = facts?.ready ?? {};
  const address = link === undefined ? whole : url;
  if (state === 'failed' && leg !== undefined) {
    const who = by === 'relay' ? 'the relay' : 'this machine';
    const text = `visitors may not reach ${address}: ${LEGS[leg]} fails from ${who} (${inside(reason)}). ${next}`;
    return [{tone: 'warning', text}];
  }
  return facts?.reach === 'failed' ? [{tone: 'good', text: `visitors reach ${address} now`}] : [];
}

const LEGS: Readonly<Record<ProbeLeg, string>> = {
  dns: 'DNS',
  tcp: 'TCP',
  tls: 'TLS',
  session: 'the way to this agent',
};

/** Makes a sentence usable as a part of another one. */
export function inside(text: string): string {
  return text.replace(/\.$/, '').replace(/^(The|It|A) /, (word) => word.toLowerCase());
}
