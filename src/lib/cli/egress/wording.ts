// The words of `tunl egress list`, `listen` and `forward`.

import {isLoopbackHost} from '../../agent/target.js';
import {shellWord} from '../../core/shell-word.js';
import type {Line} from '../wording.js';
import type {EgressDialEvent, EgressPortsEvent, ProxyEvent} from './events.js';

export const EGRESS_HEADING = 'NAME  ADDRESSES';

/** The line on stdout. */
export function egressResult(event: EgressPortsEvent): string | undefined {
  switch (event.type) {
    case 'egress-set':
      return `${event.name}  ${event.addresses.map(({address, healthy}) => (healthy ? address : `${address} (away)`)).join(', ')}`;
    case 'proxy':
      return event.env === undefined ? event.url : exportLine(event.env);
    case 'forward':
      return shownAddress(event.address);
    case 'egress-failed':
      return undefined;
  }
}

/** For `eval` and `source` of a shell. */
function exportLine(env: Readonly<Record<string, string>>): string {
  const words = Object.entries(env).map(([name, value]) => `${name}=${shellWord(value)}`);
  return `export ${words.join(' ')}`;
}

export function egressLines(event: EgressPortsEvent): Line[] {
  switch (event.type) {
    case 'egress-set':
      return event.addresses.some(({healthy}) => healthy)
        ? []
        : [{tone: 'warning', text: `The relay can use none of the addresses of ${event.name} now.`}];
    case 'proxy':
      return proxyLines(event);
    case 'forward':
      return [
        {tone: 'good', text: `${shownAddress(event.address)} leads to ${event.destination} by ${way(event)}`},
      ];
    case 'egress-failed':
      return [
        {
          tone: 'warning',
          text: `${failure(event)} ${event.times === undefined ? event.next : `(${event.times} times)`}`,
        },
      ];
  }
}

function proxyLines(event: ProxyEvent): Line[] {
  const lines: Line[] = [{tone: 'good', text: `proxy for HTTP and SOCKS 5, by ${way(event)}`}];
  const {host} = event.address;
  if (event.password !== undefined && !isLoopbackHost(host)) {
    const text = `The password crosses the network unencrypted on its way to ${host}.`;
    lines.push({tone: 'warning', text});
  }
  if (event.password !== undefined)
    lines.push({
      tone: 'faint',
      text: 'The address contains the password of this run; --env prints variables.',
    });
  else {
    const who = isLoopbackHost(host) ? 'every user of this machine' : `everybody who reaches ${host}`;
    lines.push({tone: 'warning', text: `No password: ${who} can use it.`});
  }
  return lines;
}

function way({egress, addresses}: {egress: string; addresses: readonly string[]}): string {
  return `${egress} (${addresses.join(', ')})`;
}

/** Most reasons name the destination. */
function failure({destination, reason}: EgressDialEvent): string {
  return reason.includes(destination) ? reason : `${destination}: ${reason}`;
}

function shownAddress({host, port}: {host: string; port: number}): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
