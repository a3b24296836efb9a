// The state of a command's tunnels after their events. Pure: the caller gives the time, and a value never changes.

import type {ReadyEvent, ReconnectingEvent} from '../agent/events.js';
import type {CliEvent} from './events.js';

/** With several tunnels `ready` has the name of its tunnel. */
export type Ready = ReadyEvent & {tunnel?: string};

/** A tunnel that has been ready and has not ended. */
export interface TunnelFacts {
  readonly ready: Ready;
  readonly upstream: 'unknown' | 'answers' | 'silent';
  /** Whether a probe through the public name went through. `checking`: the next one decides. `off`: nothing is probed. */
  readonly reach: 'passed' | 'failed' | 'checking' | 'off';
  /** True: no new visitors; open ones may finish. */
  readonly closing: boolean;
}

/** No visitor can come since `lostAt`. */
export interface LinkLoss {
  readonly state: ReconnectingEvent['state'];
  readonly lostAt: number;
  /** The number of connections that were open at `lostAt`. */
  readonly kept: number;
  /** Why the last attempt failed. */
  readonly reason: string;
}

export interface Visitors {
  readonly open: number;
  readonly total: number;
}

export interface TunnelState {
  /** By name, in the order of their `ready`. The name of a tunnel whose events have none is ''. */
  readonly tunnels: ReadonlyMap<string, TunnelFacts>;
  readonly link: 'up' | LinkLoss;
  /** A new object after each visitor that came or left, so that a reader can compare. */
  readonly visitors: Visitors;
  /** True when a tunnel, a relay or a port of an egress has been ready. */
  readonly wasUp: boolean;
  /** True: the command runs in the background, so Ctrl+C does not stop it. */
  readonly isDetached: boolean;
}

export const NOTHING_YET: TunnelState = {
  tunnels: new Map(),
  link: 'up',
  visitors: {open: 0, total: 0},
  wasUp: false,
  isDetached: false,
};

/** @param now in ms, by a clock that does not jump */
export function nextState(before: TunnelState, event: CliEvent, now: number): TunnelState {
  switch (event.type) {
    case 'listening':
      return {...before, wasUp: true, isDetached: event.id !== undefined};
    case 'proxy':
    case 'forward':
      return {...before, link: 'up', wasUp: true};
    case 'ready': {
      // A program has answered before `ready`.
      const upstream = event.program === undefined ? 'unknown' : 'answers';
      const facts: TunnelFacts = {ready: event, upstream, reach: event.probe ?? 'off', closing: false};
      const tunnels = new Map(before.tunnels).set(nameOf(event), facts);
      return {...before, tunnels, link: 'up', wasUp: true, isDetached: event.id !== undefined};
    }
    case 'reconnecting': {
      const {state, reason, connections: kept} = event;
      const lost = before.link === 'up' ? {lostAt: now, kept} : before.link;
      return {...before, link: {...lost, state, reason}};
    }
    case 'resumed':
      return {...before, link: 'up', tunnels: checking(before)};
    case 'probe':
      return changed(before, event, {reach: event.state});
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

/** True when all tunnels are closing. */
export function isClosing({tunnels}: TunnelState): boolean {
  return tunnels.size > 0 && [...tunnels.values()].every(({closing}) => closing);
}

/** The reach of all tunnels together: that of the worst. */
export function reachOf({tunnels}: TunnelState): TunnelFacts['reach'] {
  const all = new Set([...tunnels.values()].map(({reach}) => reach));
  return (['failed', 'checking', 'passed'] as const).find((each) => all.has(each)) ?? 'off';
}

export function readiesOf({tunnels}: TunnelState): Ready[] {
  return [...tunnels.values()].map(({ready}) => ready);
}

/** After a lost link nothing is known about the way to visitors. */
function checking({tunnels}: TunnelState): TunnelState['tunnels'] {
  return new Map(
    [...tunnels].map(([name, facts]) => [
      name,
      facts.reach === 'off' ? facts : {...facts, reach: 'checking'},
    ]),
  );
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
