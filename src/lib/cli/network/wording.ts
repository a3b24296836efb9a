// The words of the commands for private networks.

import {time} from '../format.js';
import type {Line} from '../wording.js';
import type {MemberEvent, NetworkCliEvent, NetworkJoinedEvent} from './events.js';

/** The columns of a terminal; `awk` reads them as well. */
const WIDTHS = [20, 40, 8, 8];

function row(cells: readonly string[]): string {
  return cells
    .map((cell, at) => cell.padEnd(WIDTHS[at] ?? 0))
    .join('  ')
    .trimEnd();
}

export const MEMBER_HEADING = row(['NAME', 'ADDRESS', 'PATH', 'RTT']);

/** The line of an event on stdout, if any. */
export function networkResult(event: NetworkCliEvent): string | undefined {
  switch (event.type) {
    case 'network':
      return event.ports === undefined ? undefined : event.address;
    case 'member':
      return event.state === 'listed' ? memberRow(event) : undefined;
    case 'member-port':
      return event.address;
    case 'member-failed':
      return undefined;
  }
}

/** A member that takes no connections has no path. */
function memberRow({name, address, accepts, path = 'relay', rttMs}: MemberEvent): string {
  return row([name, address, accepts ? path : '-', rttMs === undefined ? '-' : rttText(rttMs)]);
}

/** On one machine and in one network it is below a millisecond. */
const rttText = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)}ms` : time(ms).replace(' ', ''));

export function networkLines(event: NetworkCliEvent): Line[] {
  switch (event.type) {
    case 'network':
      return joinedLines(event);
    case 'member':
      if (event.state === 'listed') return [];
      return [
        event.state === 'came'
          ? {tone: 'plain', text: `${event.name} has joined (${event.address})`}
          : {tone: 'plain', text: `${event.name} has left`},
      ];
    case 'member-port':
      return [{tone: 'good', text: `${event.address} leads to ${event.to} in the network ${event.network}`}];
    case 'member-failed':
      return [
        {tone: 'warning', text: `a connection to ${event.to} was not made: ${event.reason} (${event.code})`},
      ];
  }
}

function joinedLines({
  network,
  name,
  address,
  ports,
  directPort,
  outside,
  egress,
}: NetworkJoinedEvent): Line[] {
  const lines: Line[] = [];
  if (outside !== undefined) {
    const internet = `the internet by ${egress ?? 'this machine'}`;
    const more = outside === 'none' ? 'nothing else' : internet;
    lines.push({
      tone: 'good',
      text: `sealed: ${name} (${address}) reaches the network ${network}, and ${more}`,
    });
  } else if (ports === undefined)
    lines.push({tone: 'faint', text: `${name} is a guest of the network ${network}`});
  else lines.push({tone: 'good', text: `${name} is a member of ${network}, with ${portsText(ports)}`});
  if (directPort !== undefined)
    lines.push({
      tone: 'plain',
      text: `Members may also connect directly, to port ${directPort} of all addresses of this machine; others are turned away.`,
    });
  return lines;
}

const portsText = (ports: readonly number[]): string =>
  `${ports.length === 1 ? 'port' : 'ports'} ${ports.join(', ')}`;
