// The words of a relay that has started, and of the check of its configuration.

import {isLoopbackHost} from '../agent/target.js';
import {shellWord} from '../core/shell-word.js';
import {inBackground} from './ready-wording.js';
import type {ListeningEvent, RelayStartEvent} from './relay-start-events.js';
import type {Line} from './wording.js';

export function aboutRelayStart(event: RelayStartEvent): Line[] {
  switch (event.type) {
    case 'listening':
      return listening(event);
    case 'stopped':
      return [{tone: 'plain', text: 'stopped'}];
    case 'certificate':
      return event.instructions.split('\n').map((text) => ({tone: 'plain', text}));
    case 'mistake':
      return [{tone: 'faint', text: `  ${event.next}`}];
    case 'checked':
      return [{tone: 'good', text: `${event.file} has no mistakes`}];
    case 'setting':
      return [];
  }
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
