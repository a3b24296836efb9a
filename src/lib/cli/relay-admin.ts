// The commands that ask a running relay: their common flag, and the events that follow from its answers.

import {setting, wholeNumber} from '../core/settings.js';
import {stateDir} from '../core/state-dir.js';
import {askRelay} from '../relay/admin/ask-relay.js';
import type {Overview} from '../relay/admin/overview.js';
import type {EgressStatus, NetworkStatus, SessionReport} from '../relay/admin/report.js';
import type {
  BlockedEvent,
  RelayEgressEvent,
  RelayNetworkEvent,
  RelayStatusEvent,
  SessionEvent,
} from './relay-events.js';
import {flagOf} from './setting-flags.js';

/** Flags of every command that asks a relay. */
export const adminFlags = {
  pid: flagOf(
    setting(wholeNumber({min: 1, max: 2 ** 31 - 1}), {
      help: 'The process of the relay, if several run here.',
    }),
  ),
};

/** @throws TunlError */
export async function ask(
  action: string,
  {pid, words = []}: {pid: number | undefined; words?: readonly string[]},
): Promise<Readonly<Record<string, unknown>>> {
  return await askRelay(stateDir(), {do: action, words}, pid);
}

/** The relay is of the same version, except while a new one is being installed. */
export function statusEvents(answer: Readonly<Record<string, unknown>>): {
  relay: RelayStatusEvent;
  egresses: RelayEgressEvent[];
  networks: RelayNetworkEvent[];
  sessions: SessionEvent[];
} {
  const {domain, software, pid, url, draining, overview, sessions, egresses, networks} = answer as {
    domain: string;
    software: string;
    pid: number;
    url: string;
    draining: boolean;
    overview: Overview;
    sessions: SessionReport[];
    // An older relay does not tell them.
    egresses?: EgressStatus[];
    networks?: NetworkStatus[];
  };
  const {startedAt, workers, certificate, refusals, probe, blocked, counts} = overview;
  const relay: RelayStatusEvent = {
    type: 'relay',
    url,
    domain,
    software,
    pid,
    state: draining ? 'draining' : 'running',
    startedAt,
    workers,
    certificate,
    counts,
    refusals,
    blocked,
    ...(probe !== undefined && {probe}),
  };
  return {
    relay,
    egresses: (egresses ?? []).map((egress) => ({type: 'relay-egress', ...egress})),
    networks: (networks ?? []).map((network) => ({type: 'relay-network', ...network})),
    sessions: sessions.map((session) => ({type: 'session', ...session})),
  };
}

export function blockedEvent(
  state: BlockedEvent['state'],
  {what, subject, since, ended}: Readonly<Record<string, unknown>>,
): BlockedEvent {
  return {
    type: 'blocked',
    state,
    what: what as BlockedEvent['what'],
    subject: String(subject),
    ...(typeof since === 'string' && {since}),
    ...(typeof ended === 'number' && {ended}),
  };
}
