// Turns events into sentences for people, the same for every renderer. Chooses no colours and writes nothing.

import type {ConnectionEvent, ReconnectingEvent} from '../agent/events.js';
import {isLoopbackHost} from '../agent/target.js';
import type {ErrorCode} from '../core/errors.js';
import {shellWord} from '../core/shell-word.js';
import {backgroundState} from './background-state.js';
import {clusterLines} from './cluster/wording.js';
import {settingLine} from './config/yaml-line.js';
import {egressLines, egressResult} from './egress/wording.js';
import type {BackgroundTunnelEvent, CliEvent, ListeningEvent} from './events.js';
import {bytes, clockTime, count, time} from './format.js';
import {hubLines, hubResult} from './hub/wording.js';
import {aboutLink, linkResult} from './link-wording.js';
import {aboutLogin, loginResult} from './login-wording.js';
import {networkLines, networkResult} from './network/wording.js';
import {inside, probe} from './probe-words.js';
import {inBackground, readyLines} from './ready-wording.js';
import {relayLines, relayRow} from './relay-wording.js';
import {sandboxLines, sandboxResult} from './sandbox/wording.js';
import {aboutSealed} from './sealed-event.js';
import {aboutToken, tokenResult} from './token-event.js';
import type {TunnelState} from './tunnel-state.js';

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
      return listening(event);
    case 'certificate':
      return event.instructions.split('\n').map((text) => ({tone: 'plain', text}));
    case 'mistake':
      return [{tone: 'faint', text: `  ${event.next}`}];
    case 'checked':
      return [{tone: 'good', text: `${event.file} has no mistakes`}];
    case 'setting':
      return [];
    case 'token':
      return aboutToken(event);
    case 'reconnecting':
      return reconnecting(event, before);
    case 'resumed':
      return [
        {
          tone: event.lost > 0 ? 'warning' : 'good',
          text: [
            `${isRefused(before) ? 'address' : 'link'} back after ${time(event.awayMs)}`,
            ...fates(event),
          ].join(', '),
        },
      ];
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
    case 'stopped':
      return [{tone: 'plain', text: 'stopped'}];
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
      return [];
    case 'device':
    case 'login':
    case 'identity':
    case 'logout':
    case 'context':
      return aboutLogin(event);
    case 'relay':
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

function listening(event: ListeningEvent): Line[] {
  const {address, domain, url, caFile, tokenFile, id} = event;
  const ca = caFile ? ` --ca-file ${shellWord(caFile)}` : '';
  const token = tokenFile ? ` --token-file ${shellWord(tokenFile)}` : '';
  const variable = event.tokenRequired && !tokenFile ? 'TUNL_TOKEN=… ' : '';
  const lines: Line[] = [
    {tone: 'good', text: `relay for ${domain} listens on ${address.host} port ${address.port}`},
    {tone: 'faint', text: `Agents connect with: ${variable}tunl expose 8000 --relay ${url}${ca}${token}`},
  ];
  if (event.metrics)
    lines.push({
      tone: 'faint',
      text: `Metrics and a page for operators: http://${event.metrics.host.includes(':') ? `[${event.metrics.host}]` : event.metrics.host}:${event.metrics.port}/`,
    });
  const files = [caFile && '--ca-file', tokenFile && '--token-file'].filter(Boolean);
  if (isLoopbackHost(domain) && isLoopbackHost(address.host)) {
    const text =
      'This relay is for this machine only. For everybody: --domain NAME --listen 0.0.0.0:443 (docs/own-relay.md).';
    lines.push({tone: 'warning', text});
  } else if (isLoopbackHost(domain)) {
    const text = `On every machine, ${domain} means that machine itself: others need --domain NAME, a name in DNS.`;
    lines.push({tone: 'warning', text});
  } else if (files.length > 0) {
    lines.push({tone: 'faint', text: `On other machines, give ${files.join(' and ')} a copy of that file.`});
  }
  if (caFile) lines.push({tone: 'faint', text: '`tunl relay ca` says how visitors trust the certificate.'});
  if (!event.tokenRequired) lines.push({tone: 'faint', text: 'It asks agents for no token.'});
  lines.push(id ? {tone: 'plain', text: inBackground(id)} : {tone: 'faint', text: 'Ctrl+C stops it.'});
  return lines;
}

function reconnecting(event: ReconnectingEvent, before: TunnelState): Line[] {
  const reason = inside(event.reason);
  if (event.state === 'leaving')
    return [{tone: 'plain', text: 'the relay is shutting down, trying again; open connections may finish'}];
  const hasLink = event.state === 'refused';
  if (before.link !== 'up') {
    const wait = event.delayMs >= 1000 ? `, next try in ${time(event.delayMs)}` : '';
    return [{tone: 'faint', text: `still no ${hasLink ? 'address' : 'link'} (${reason})${wait}`}];
  }
  if (!before.wasUp) return [{tone: 'warning', text: `no link to the relay yet (${reason}), trying again`}];
  if (hasLink) {
    const text = `the relay does not give the address back yet (${reason}), trying again`;
    return [{tone: 'warning', text}];
  }
  // Any other reason than a broken link may need the user.
  const why = event.code === 'RELAY_LOST' ? '' : ` (${reason})`;
  const kept =
    event.connections === 0
      ? 'trying again'
      : `keeping ${count(event.connections, 'connection')} for ${time(event.keptForMs)}`;
  return [{tone: 'warning', text: `link lost${why}, ${kept}`}];
}

/** There is a link, but the relay does not give the address back. */
export function isRefused({link}: TunnelState): boolean {
  return link !== 'up' && link.state === 'refused';
}

function fates({resumed, lost}: {resumed: number; lost: number}): string[] {
  return resumed + lost === 0 ? [] : [`${count(resumed, 'connection')} resumed`, `${lost} lost`];
}

function connection(event: ConnectionEvent): Line {
  const who = `${event.via}  ${event.visitor}`;
  switch (event.state) {
    case 'open':
      return {tone: 'faint', text: `${who}  open`};
    case 'closed': {
      const how = event.code ? `  ${event.code}${event.reason ? ` (${event.reason})` : ''}` : '';
      return {
        tone: 'faint',
        text: `${who}  closed  ${time(event.durationMs)}  in ${bytes(event.bytesIn)}  out ${bytes(event.bytesOut)}${how}`,
      };
    }
    case 'refused':
      return {tone: 'bad', text: `${who}  refused${event.code ? `  ${event.code}` : ''}`};
  }
}
