// Events as whole sentences for a screen reader (`ACCESSIBLE=1`): no glyphs, no abbreviated units, one sentence for each visitor.

import type {ConnectionEvent, ReconnectingEvent} from '../agent/events.js';
import type {CliEvent} from './events.js';
import {count} from './format.js';
import type {TunnelState} from './tunnel-state.js';
import {isRefused} from './visitor-wording.js';
import {sentences} from './wording.js';

export function spoken(event: CliEvent, before: TunnelState): string[] {
  const own = inSentences(event, before);
  if (own === undefined) return sentences(event, before).map(({text}) => text);
  return 'tunnel' in event && event.tunnel !== undefined
    ? own.map((text) => `${event.tunnel}: ${text}`)
    : own;
}

/** Undefined for events whose plain lines can be read aloud unchanged. */
function inSentences(event: CliEvent, before: TunnelState): string[] | undefined {
  switch (event.type) {
    case 'connection':
      return connection(event);
    case 'reconnecting':
      return reconnecting(event, before);
    case 'resumed':
      if (isRefused(before)) return [`The address is back after ${timeInWords(event.awayMs)}.`];
      return [
        `The link to the relay is back after ${timeInWords(event.awayMs)}. ${count(event.resumed, 'connection')} went on and ${event.lost} were lost.`,
      ];
    case 'upstream':
      return event.silentMs === undefined
        ? []
        : [`The upstream ${event.upstream} answers now, after ${timeInWords(event.silentMs)}.`];
    case 'probe':
      return sentences(event, before).map(({tone, text}) => {
        const sentence = `${text[0]?.toUpperCase()}${text.slice(1)}`;
        return ended(tone === 'warning' ? `Warning: ${sentence}` : sentence);
      });
    case 'notice':
      return [`Warning: ${ended(event.message)}`];
    case 'draining':
      return [
        event.connections === 0
          ? 'The tunnel is closing.'
          : `The tunnel is closing. ${count(event.connections, 'open connection')} may finish within ${timeInWords(event.timeoutMs)}.${before.isDetached ? '' : ' Press Control C again to leave at once.'}`,
      ];
    case 'closed':
      return [`The tunnel is closed. It served ${count(event.connections, 'connection')}.`];
    case 'exited':
      return [
        `The program ended ${event.signal ? `by the signal ${event.signal}` : `with exit code ${event.code}`}.`,
      ];
    case 'stopped':
      return ['The relay has stopped.'];
    default:
      return undefined;
  }
}

function connection(event: ConnectionEvent): string[] {
  const who = `A visitor from ${event.visitor.slice(0, event.visitor.lastIndexOf(':'))}`;
  switch (event.state) {
    case 'open':
      return [];
    case 'closed':
      return [
        `${who} has left after ${timeInWords(event.durationMs)}, with ${bytesInWords(event.bytesIn)} in and ${bytesInWords(event.bytesOut)} out${event.code ? `, because of ${event.code}` : ''}.`,
      ];
    case 'refused':
      return [`${who} was refused${event.code ? `, because of ${event.code}` : ''}.`];
  }
}

function reconnecting(event: ReconnectingEvent, before: TunnelState): string[] {
  const soon = `The next attempt is in ${timeInWords(event.delayMs)}.`;
  if (event.state === 'leaving') return [`The relay is shutting down. Open connections may finish. ${soon}`];
  if (event.state === 'refused')
    return [`The relay does not give the address back yet. ${ended(event.reason)} ${soon}`];
  if (before.link !== 'up') return [`There is still no link to the relay. ${soon}`];
  if (!before.wasUp) return [`There is no link to the relay yet. ${ended(event.reason)} ${soon}`];
  const kept =
    event.connections === 0
      ? ''
      : ` ${count(event.connections, 'connection')} can wait for ${timeInWords(event.keptForMs)}.`;
  const why = event.code === 'RELAY_LOST' ? '' : ` ${ended(event.reason)}`;
  return [`The link to the relay is lost.${why}${kept} ${soon}`];
}

/** `41 milliseconds`, `3.1 seconds`, `2 minutes`. */
function timeInWords(ms: number): string {
  if (ms < 1000) return count(Math.round(ms), 'millisecond');
  if (ms < 120_000) return count(rounded(ms / 1000), 'second');
  return ms < 7_200_000 ? count(rounded(ms / 60_000), 'minute') : count(rounded(ms / 3_600_000), 'hour');
}

function bytesInWords(amount: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const unit = amount < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(amount) / 3));
  return count(unit === 0 ? amount : rounded(amount / 1000 ** unit), units[unit] ?? 'byte');
}

function rounded(value: number): number {
  return value < 10 ? Math.round(value * 10) / 10 : Math.round(value);
}

function ended(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
