// Turns events into sentences for people, the same for every renderer. Chooses no colours and writes nothing.

import type {ErrorCode} from '../core/errors.js';
import {shellWord} from '../core/shell-word.js';
import {backgroundState} from './background-state.js';
import {clusterLines} from './cluster/wording.js';
import {settingLine} from './config/yaml-line.js';
import {egressLines, egressResult} from './egress/wording.js';
import type {CliEvent} from './events.js';
import {clockTime, count, time} from './format.js';
import {hubLines, hubResult} from './hub/wording.js';
import {aboutLink, linkResult} from './link-wording.js';
import {aboutLogin, loginResult} from './login-wording.js';
import {networkLines, networkResult} from './network/wording.js';
import {probe} from './probe-words.js';
import {readyLines} from './ready-wording.js';
import {aboutRelayStart} from './relay-start-wording.js';
import {relayLines, relayRow} from './relay-wording.js';
import type {BackgroundTunnelEvent} from './running-events.js';
import {sandboxLines, sandboxResult} from './sandbox/wording.js';
import {aboutSealed} from './sealed-event.js';
import {aboutToken, tokenResult} from './token-event.js';
import type {TunnelState} from './tunnel-state.js';
import {connection, reconnecting, resumed} from './visitor-wording.js';

/** The meaning of a line; a renderer may show it as a glyph or a colour. */
export type Tone = 'good' | 'warning' | 'bad' | 'plain' | 'faint';

export interface Line {
  tone: Tone;
  text: string;
}

/** The line of an event on stdout, if any. */
export function result(event: CliEvent): string | undefined {
  switch (event.type) {
    case 'ready':
      return event.tunnel === undefined ? event.address : `${event.tunnel}\t${event.address}`;
    case 'added':
      return event.address;
    case 'shared':
    case 'link':
      return linkResult(event);
    case 'connect-port':
      return event.address;
    case 'listening':
      return event.url;
    case 'certificate':
      return event.caFile;
    case 'mistake':
      return `${[event.file, event.line, event.column].filter((part) => part !== undefined).join(':')}: ${event.message}`;
    case 'setting':
      return settingLine(event);
    case 'tunnel':
      return `${event.id}  ${event.address}  ${event.command}`;
    case 'log':
      return event.line;
    case 'session':
    case 'blocked':
      return relayRow(event);
    case 'token':
      return tokenResult(event);
    case 'started':
    case 'sandbox':
    case 'port':
    case 'backend':
      return sandboxResult(event);
    case 'hub':
    case 'hub-session':
    case 'hub-output':
    case 'hub-user':
      return hubResult(event);
    case 'egress-set':
    case 'proxy':
    case 'forward':
      return egressResult(event);
    case 'network':
    case 'member':
    case 'member-port':
    case 'member-failed':
      return networkResult(event);
    default:
      return loginResult(event);
  }
}

/**
 * The lines for `event`. None for errors: they are reported once, when the command ends.
 *
 * @param before the state that this event changes
 */
export function sentences(event: CliEvent, before: TunnelState): Line[] {
  const lines = about(event, before);
  if (!('tunnel' in event) || event.tunnel === undefined || NAMES_ITSELF.has(event.type)) return lines;
  return lines.map(({tone, text}) => ({tone, text: `${event.tunnel}: ${text}`}));
}

/** Hints that name commands, so a notice of the library does not contain them. */
const NOTICE_HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  ADDRESS_REFUSED: ' --cidr-allow and --cidr-deny say which addresses may come.',
  EGRESS_LOCAL: ' --local PORT leads there.',
  VISITOR_NEEDS_H2: ' Next step: --h2, if the service speaks HTTP/2.',
  VISITOR_NEEDS_HTTP1: ' Next step: --http1, if the service speaks both.',
};

function hint(code: ErrorCode, {tunnels}: TunnelState): string {
  if (code !== 'CERTIFICATE_REFUSED') return NOTICE_HINTS[code] ?? '';
  // The CA belongs to the relay, which may be on another machine.
  const isHere = [...tunnels.values()].some(({ready}) => ready.relay.embedded);
  return ` \`tunl relay ca\`${isHere ? '' : ' at the relay'} says how programs trust it.`;
}

/** Events whose lines name the tunnel. */
const NAMES_ITSELF: ReadonlySet<CliEvent['type']> = new Set([
  'ready',
  'added',
  'removed',
  'shared',
  'link',
  'revoked',
  'access',
]);

function about(event: CliEvent, before: TunnelState): Line[] {
  switch (event.type) {
    case 'ready':
      // Facts about all tunnels are printed once.
      return before.wasUp && event.tunnel !== undefined
        ? [{tone: 'faint', text: `Visitors of ${event.tunnel} reach ${event.upstream}.`}]
        : readyLines(event);
    case 'listening':
    case 'stopped':
    case 'certificate':
    case 'mistake':
    case 'checked':
    case 'setting':
      return aboutRelayStart(event);
    case 'token':
      return aboutToken(event);
    case 'reconnecting':
      return reconnecting(event, before);
    case 'resumed':
      return [resumed(event, before)];
    case 'probe':
      return probe(event, before);
    case 'connection':
      return [connection(event)];
    case 'upstream':
      return event.silentMs === undefined
        ? []
        : [{tone: 'good', text: `${event.upstream} answers now, after ${time(event.silentMs)}`}];
    case 'notice':
      return [{tone: 'warning', text: event.message + hint(event.code, before)}];
    case 'draining':
      return [
        {
          tone: 'plain',
          text:
            event.connections === 0
              ? 'closing'
              : `closing: ${count(event.connections, 'open connection')} may finish within ${time(event.timeoutMs)}${before.isDetached ? '' : '; Ctrl+C again leaves at once'}`,
        },
      ];
    case 'exited':
      return [
        {
          tone: event.exitCode === 0 ? 'plain' : 'bad',
          text: `the program ended ${event.signal ? `by ${event.signal}` : `with exit code ${event.code}`}`,
        },
      ];
    case 'closed':
      return [{tone: 'plain', text: `closed after ${count(event.connections, 'connection')}`}];
    case 'ended':
      return [{tone: 'plain', text: `${event.id} has ended`}];
    case 'extended':
      return [{tone: 'plain', text: `${event.id} ends at ${clockTime(new Date(event.expiresAt))}`}];
    case 'added':
      return [
        {tone: 'faint', text: `Visitors of ${event.tunnel} reach ${event.upstream}.`},
        {
          tone: 'faint',
          text: `Remove it with: tunl remove ${event.id} ${shellWord(event.tunnel)}`,
        },
      ];
    case 'removed':
      return [{tone: 'plain', text: `${event.tunnel} is removed: ${event.address}`}];
    case 'shared':
    case 'link':
    case 'revoked':
    case 'access':
      return aboutLink(event);
    case 'tunnel':
      return [{tone: 'faint', text: `  ${backgroundState(event)}`}, ...tunnelRows(event)];
    case 'log':
    case 'connect-port':
      return [];
    case 'device':
    case 'login':
    case 'identity':
    case 'logout':
    case 'context':
      return aboutLogin(event);
    case 'relay':
    case 'relay-egress':
    case 'relay-network':
    case 'session':
    case 'kicked':
    case 'blocked':
    case 'drains':
    case 'reloaded':
      return relayLines(event);
    case 'started':
    case 'sandbox':
    case 'port':
    case 'output':
    case 'exit':
    case 'finished':
    case 'prolonged':
    case 'egress':
    case 'refused':
    case 'copied':
    case 'backend':
      return sandboxLines(event);
    case 'hub':
    case 'hub-session':
    case 'hub-output':
    case 'hub-user':
      return hubLines(event);
    case 'network':
    case 'member':
    case 'member-port':
    case 'member-failed':
      return networkLines(event);
    case 'cluster-waiting':
    case 'cluster-member':
    case 'cluster-start':
    case 'cluster-exit':
    case 'cluster-restart':
    case 'cluster-exposed':
    case 'cluster-closed':
      return clusterLines(event);
    case 'sealed':
      return aboutSealed(event);
    case 'egress-set':
    case 'proxy':
    case 'forward':
    case 'egress-failed':
      return egressLines(event);
    case 'error':
      // An error of one of several tunnels: the others go on.
      return event.tunnel === undefined ? [] : [{tone: 'bad', text: event.message}];
  }
}

/** Rows for several tunnels. A single one is the line itself. */
function tunnelRows({tunnels = []}: BackgroundTunnelEvent): Line[] {
  if (tunnels.length < 2) return [];
  const names = Math.max(...tunnels.map(({tunnel}) => tunnel.length));
  return tunnels.map(({tunnel, address, upstream}) => ({
    tone: 'faint',
    text: `  ${tunnel.padEnd(names)}  ${address} → ${upstream}`,
  }));
}
