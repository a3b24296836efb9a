// The words about connections of visitors, and about the link that carries them.

import type {ConnectionEvent, ReconnectingEvent, ResumedEvent} from '../agent/events.js';
import {bytes, count, time} from './format.js';
import {inside} from './probe-words.js';
import type {TunnelState} from './tunnel-state.js';
import type {Line} from './wording.js';

export function reconnecting(event: ReconnectingEvent, before: TunnelState): Line[] {
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

export function resumed(event: ResumedEvent, before: TunnelState): Line {
  const what = isRefused(before) ? 'address' : 'link';
  return {
    tone: event.lost > 0 ? 'warning' : 'good',
    text: [`${what} back after ${time(event.awayMs)}`, ...fates(event)].join(', '),
  };
}

function fates({resumed, lost}: {resumed: number; lost: number}): string[] {
  return resumed + lost === 0 ? [] : [`${count(resumed, 'connection')} resumed`, `${lost} lost`];
}

export function connection(event: ConnectionEvent): Line {
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
