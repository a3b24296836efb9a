// The state of a command's tunnels, folded from their events. Pure: time comes in, and a value never changes.

import type {ReadyEvent, ReconnectingEvent} from '../agent/events.js';
import type {CliEvent} from './events.js';

/** `ready` of one of several tunnels has its name. */
export type Ready = ReadyEvent & {tunnel?: string};

/** A tunnel that is up, or comes back when the link does. */
export interface TunnelFacts {
  readonly ready: Ready;
  readonly upstream: 'unknown' | 'answers' | 'silent';
  /** No new visitors; open ones finish. */
  readonly closing: boolean;
}

/** Visitors cannot come, since `lostAt`. */
export interface LinkLoss {
  readonly state: ReconnectingEvent['state'];
  readonly lostAt: number;
  /** Connections that were open when it was lost. */
  readonly kept: number;
  /** Of the last attempt. */
  readonly reason: string;
}

export interface Visitors {
  readonly open: number;
  readonly total: number;
}

export interface TunnelState {
  /** By name, in the order in which they came up. A tunnel whose events have no name is ''. */
  readonly tunnels: ReadonlyMap<string, TunnelFacts>;
  readonly link: 'up' | LinkLoss;
  /** Another object after each visitor that came or went. */
  readonly visitors: Visitors;
  /** A tunnel or a relay was up. */
  readonly wasUp: boolean;
  /** It runs in the background: no key can stop it. */
  readonly isDetached: boolean;
}

export const NOTHING_YET: TunnelState = {
  tunnels: new Map(),
  link: 'up',
  visitors: {open: 0, total: 0},
  wasUp: false,
  isDetached: false,
};

/** @param now in ms, of any clock that does not jump */
export function nextState(before: TunnelState, event: CliEvent, now: number): TunnelState {
  switch (event.type) {
    case 'listening':
      return {...before, wasUp: true, isDetached: event.id !== undefined};
    case 'ready': {
      // A started program has answered before `ready`.
      const upstream = event.program === undefined ? 'unknown' : 'answers';
      const tunnels = new Map(before.tunnels).set(nameOf(event), {ready: event, upstream, closing: false});
      return {...before, tunnels, link: 'up', wasUp: true, isDetached: event.id !== undefined};
    }
    case 'reconnecting': {
      const {state, reason, connections: kept} = event;
      const lost = before.link === 'up' ? {lostAt: now, kept} : before.link;
      return {...before, link: {...lost, state, reason}};
    }
    case 'resumed':
      return {...before, link: 'up'};
    case 'connection': {
      const {open, total} = before.visitors;
      if (event.state === 'refused') return before;
      const visitors = event.state === 'open' ? {open: open + 1, total: total + 1} : {open: open - 1, total};
      return {...before, visitors};
    }
    case 'upstream':
      return changed(before, event, {upstream: event.answers ? 'answers' : 'silent'});
    case 'draining':
      return changed(before, event, {closing: true});
    case 'exited':
      return without(before, '');
    case 'closed':
    case 'error':
      return without(before, nameOf(event));
    default:
      return before;
  }
}

/** All that are up are closing. */
export function isClosing({tunnels}: TunnelState): boolean {
  return tunnels.size > 0 && [...tunnels.values()].every(({closing}) => closing);
}

export function readiesOf({tunnels}: TunnelState): Ready[] {
  return [...tunnels.values()].map(({ready}) => ready);
}

function nameOf(event: {tunnel?: string}): string {
  return event.tunnel ?? '';
}

function without(before: TunnelState, name: string): TunnelState {
  const tunnels = new Map(before.tunnels);
  tunnels.delete(name);
  return {...before, tunnels};
}

function changed(before: TunnelState, event: {tunnel?: string}, to: Partial<TunnelFacts>): TunnelState {
  const name = nameOf(event);
  const facts = before.tunnels.get(name);
  if (facts === undefined) return before;
  return {...before, tunnels: new Map(before.tunnels).set(name, {...facts, ...to})};
}
