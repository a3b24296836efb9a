// The rows of the block about the tunnels. They show only known facts: `live` needs the link, every upstream, and
// the way from visitors, where that is probed.

import type {ReadyEvent, ReconnectingEvent} from '../../agent/events.js';
import {count, time} from '../format.js';
import {isClosing, type Ready, reachOf, readiesOf, type TunnelState} from '../tunnel-state.js';
import type {Tone} from '../wording.js';

/** The current values for the block, and the active keys. */
export interface Attendance {
  rttMs: () => number | undefined;
  /** Texts like `q QR`; empty when no keys are read. */
  keys: () => readonly string[];
}

/** A row, its meaning, and whether it may be cut. */
export interface StatusRow {
  text: string;
  tone: Tone;
  wraps?: boolean;
}

/** Rows for addresses: the block has room for five, with the state and the keys. */
const MAX_ADDRESSES = 3;

const LINK_WORDS: Readonly<Record<ReconnectingEvent['state'], string>> = {
  away: 'link lost',
  leaving: 'the relay is shutting down',
  refused: 'no address yet',
};

/**
 * Empty before a tunnel is up, after the end of the last one, and for tunnels in the background.
 *
 * @param place `width`: the cells of a row; `now`: the time, by the clock of `state`
 */
export function statusRows(
  state: TunnelState,
  attendance: Attendance,
  {width, now}: {width: number; now: number},
): StatusRow[] {
  const [first] = state.tunnels.values();
  if (first === undefined || state.isDetached) return [];
  const {text, more, tone} = summary(state, first.ready, {attendance, now});
  const counts = [`${state.visitors.open} open`, `${state.visitors.total} so far`];
  const whole = `  ${[text, ...more, ...counts].join(' · ')}`;
  const rows: StatusRow[] = [
    ...addresses(readiesOf(state), width),
    {text: whole.length < width ? whole : [text, ...counts].join(' · '), tone},
  ];
  const keys = isClosing(state) ? [] : attendance.keys();
  if (keys.length > 0) rows.push({text: keyRow([...keys, '^C stop'], width), tone: 'faint'});
  return rows;
}

/** `more` is left out without room. */
interface Summary {
  text: string;
  more: string[];
  tone: Tone;
}

function summary(
  state: TunnelState,
  {relay, lan}: ReadyEvent,
  {attendance, now}: {attendance: Attendance; now: number},
): Summary {
  const say = (text: string, tone: Tone, more: string[] = []) => ({text, more, tone});
  if (isClosing(state)) return say('◌ closing', 'plain');
  if (state.link !== 'up') {
    const {state: link, kept, lostAt} = state.link;
    // Whole seconds, so that the row changes once a second.
    const seconds = Math.floor((now - lostAt) / 1000);
    const away = seconds === 0 ? '' : ` ${time(seconds * 1000)}`;
    const streams = kept === 0 ? '' : `, ${count(kept, 'stream')} kept`;
    return say(`↻ ${LINK_WORDS[link]}${away}${streams}`, 'warning');
  }
  const among = [...state.tunnels].filter(([, {closing}]) => !closing);
  const silent = among.flatMap(([name, {upstream}]) => (upstream === 'silent' ? [name] : []));
  if (silent.length > 0) {
    const which = state.tunnels.size > 1 ? `: ${silent.join(', ')}` : '';
    return say(`✗ upstream does not answer${which}`, 'bad');
  }
  if (among.some(([, {upstream}]) => upstream === 'unknown'))
    return say(`◌ connecting to the upstream${state.tunnels.size > 1 ? 's' : ''}`, 'plain');
  const reach = reachOf(state);
  if (reach === 'failed') return say('▲ not reached through the public name', 'warning');
  if (reach === 'checking') return say('◌ checking the public name', 'plain');
  if (relay.embedded)
    return say('● live', 'good', [lan === undefined ? 'this machine only' : 'this network only']);
  const rttMs = attendance.rttMs();
  return say('● live', 'good', [relayName(relay.url), ...(rttMs === undefined ? [] : [time(rttMs)])]);
}

function addresses(readies: readonly Ready[], width: number): StatusRow[] {
  const [only, ...others] = readies;
  if (only !== undefined && others.length === 0) return [{...address(only, width), tone: 'plain'}];
  const shown = readies.length <= MAX_ADDRESSES ? readies : readies.slice(0, MAX_ADDRESSES - 1);
  const names = Math.max(...shown.map(({tunnel = ''}) => tunnel.length));
  const rows = shown.map(({tunnel = '', address: where, upstream}): StatusRow => {
    const row = `  ${tunnel.padEnd(names)}  ${where}`;
    const both = `${row} → ${upstream}`;
    return {text: both.length < width ? both : row, tone: 'plain'};
  });
  const rest = readies.length - shown.length;
  return rest === 0 ? rows : [...rows, {text: `  … and ${rest} more`, tone: 'faint'}];
}

/** The address of a single tunnel is always complete, in several rows if needed. The upstream is shown if it fits beside it. */
function address(ready: ReadyEvent, width: number): {text: string; wraps: boolean} {
  const both = `  ${ready.address} → ${ready.upstream}`;
  return both.length < width ? {text: both, wraps: false} : {text: ready.address, wraps: true};
}

function keyRow(keys: readonly string[], width: number): string {
  const wide = `  ${keys.join('   ')}`;
  return wide.length < width ? wide : `  ${keys.join('  ')}`;
}

/** `r1` of `https://r1.example.net`; an IP address stays as it is. */
function relayName(url: string): string {
  const {hostname} = new URL(url);
  return /^[\d.]+$|:/.test(hostname) ? hostname : (hostname.split('.')[0] ?? hostname);
}
