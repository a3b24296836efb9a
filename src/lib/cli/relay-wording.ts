// The words of the commands that ask a running relay.

import {bytes, count, time} from './format.js';
import type {
  RelayAdminEvent,
  RelayEgressEvent,
  RelayNetworkEvent,
  RelayStatusEvent,
  SessionEvent,
} from './relay-events.js';
import type {Line} from './wording.js';

/** The row of an event on stdout, if any. */
export function relayRow(event: RelayAdminEvent): string | undefined {
  switch (event.type) {
    case 'session':
      return sessionRow(event);
    case 'blocked':
      return event.state === 'listed'
        ? `${event.what}  ${event.subject}  ${event.since ?? ''}`.trim()
        : undefined;
    default:
      return undefined;
  }
}

export function relayLines(event: RelayAdminEvent, now = Date.now()): Line[] {
  const plain = (...texts: string[]): Line[] => texts.map((text) => ({tone: 'plain', text}));
  switch (event.type) {
    case 'relay':
      return relay(event, now);
    case 'session':
      return [];
    case 'relay-egress':
      return [egressLine(event)];
    case 'relay-network':
      return plain(networkLine(event));
    case 'kicked':
      return plain(
        `${count(event.ended, event.what === 'name' ? 'tunnel' : 'session')} ended: ${event.subject}`,
      );
    case 'blocked':
      return event.state === 'listed' ? [] : plain(blocked(event));
    case 'drains':
      return plain(
        `process ${event.pid} ends when ${count(event.connections, 'open connection')} of visitors have finished, or its drain time has passed`,
      );
    case 'reloaded':
      return plain(
        event.changed.length === 0
          ? 'read again: no setting has changed'
          : `changed: ${event.changed.join(', ')}`,
        ...(event.needRestart.length === 0
          ? []
          : [`a restart is needed for: ${event.needRestart.join(', ')}`]),
      );
  }
}

function blocked({state, what, subject, ended = 0}: RelayAdminEvent & {type: 'blocked'}): string {
  if (state === 'removed') return `${what} ${subject} is not blocked any more`;
  const closed = ended === 0 ? '' : `; ended: ${ended}`;
  return `${what} ${subject} is blocked${closed}`;
}

/** A relay without egress needs no line about it. */
function egress({
  egress: open,
  egressTotal,
  egressBytesIn,
  egressBytesOut,
}: RelayStatusEvent['counts']): Line[] {
  if (egressTotal === 0) return [];
  const text = `${count(open, 'connection')} by egress of ${egressTotal}, in ${bytes(egressBytesIn)}, out ${bytes(egressBytesOut)}`;
  return [{tone: 'plain', text}];
}

/** Names in a line. `--json` has all of them. */
const MOST_NAMES = 8;

function some(names: readonly string[]): string {
  const rest = names.length - MOST_NAMES;
  return `${names.slice(0, MOST_NAMES).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function egressLine({egress: name, addresses, connections, owners}: RelayEgressEvent): Line {
  const isWhole = addresses.every(({healthy}) => healthy);
  const from = addresses.map(({address, healthy}) => (healthy ? address : `${address} (cannot be used)`));
  const whose = owners.map(({owner, connections: theirs}) => `${owner} ${theirs}`);
  const open = connections === 0 ? '' : `, ${count(connections, 'connection')} (${some(whose)})`;
  return {tone: isWhole ? 'plain' : 'warning', text: `egress ${name}: ${from.join(', ')}${open}`};
}

function networkLine({network, members}: RelayNetworkEvent): string {
  const names = members.map(({name, owner}) => `${name} (${owner})`);
  return `${network}: ${count(members.length, 'member')}, ${some(names)}`;
}

function relay(event: RelayStatusEvent, now: number): Line[] {
  const {url, pid, state, startedAt, workers, certificate, counts, refusals, probe} = event;
  const kind = certificate.kind === 'given' ? 'certificate' : 'own CA';
  const days = Math.floor((Date.parse(certificate.expiresAt) - now) / 86_400_000);
  const away = counts.agentsAway > 0 ? ` (${counts.agentsAway} without a link)` : '';
  const refused = Object.entries(refusals).map(([reason, times]) => `${times} ${reason}`);
  const lines: Line[] = [
    {
      tone: state === 'running' ? 'good' : 'warning',
      text: `${url} is ${state}, process ${pid}, for ${time(now - Date.parse(startedAt))}`,
    },
    {
      tone: 'plain',
      text: `${count(counts.agents, 'agent')}${away}, ${count(counts.tunnels, 'tunnel')}, ${count(counts.visitors, 'visitor')} of ${counts.visitorsTotal}, in ${bytes(counts.bytesIn)}, out ${bytes(counts.bytesOut)}`,
    },
    ...egress(counts),
    {
      tone: days < 14 ? 'warning' : 'faint',
      text: `${kind} ends ${days < 0 ? `${-days} days ago` : `in ${count(days, 'day')}`}, ${bytes(counts.memoryBytes)} of memory${workers.length > 0 ? `, ${count(workers.length, 'worker')}` : ''}${event.blocked > 0 ? `, ${event.blocked} blocked` : ''}`,
    },
  ];
  if (refused.length > 0) lines.push({tone: 'faint', text: `refused: ${refused.join(', ')}`});
  if (probe !== undefined && !probe.ok)
    lines.push({
      tone: 'warning',
      text: `its own probe fails at ${probe.leg ?? 'the start'}: ${probe.reason ?? ''}`,
    });
  return lines;
}

function sessionRow({session, owner, from, tunnels, awayMs}: SessionEvent): string {
  const sum = (of: 'visitors' | 'bytesIn' | 'bytesOut') =>
    tunnels.reduce((total, each) => total + each[of], 0);
  const names = tunnels.map(({key}) => key.replace(/^tls:/, '')).join(',') || '-';
  const away = awayMs === undefined ? '' : `  without a link for ${time(awayMs)}`;
  return `${session}  ${owner}  ${from}  ${names}  ${sum('visitors')}  ${bytes(sum('bytesIn'))}  ${bytes(sum('bytesOut'))}${away}`;
}
