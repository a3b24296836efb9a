// The rows of the block about a tunnel. It shows only known facts: `live` needs both the link and the upstream.

import type {ReadyEvent, ReconnectingEvent} from '../../agent/events.js';
import type {CliEvent} from '../events.js';
import {count, time} from '../format.js';
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

const LINK_WORDS: Readonly<Record<ReconnectingEvent['state'], string>> = {
  away: 'link lost',
  leaving: 'the relay goes away',
  refused: 'no address yet',
};

export class Status {
  #ready: ReadyEvent | undefined;
  #link: 'up' | {state: ReconnectingEvent['state']; lostAt: number; kept: number} = 'up';
  #upstream: 'unknown' | 'answers' | 'silent' = 'unknown';
  #closing = false;
  #open = 0;
  #total = 0;
  #attendance: Attendance = {rttMs: () => undefined, keys: () => []};

  attend(attendance: Attendance): void {
    this.#attendance = attendance;
  }

  event(event: CliEvent): void {
    switch (event.type) {
      case 'ready':
        this.#ready = event;
        // A started program has answered before `ready`.
        if (event.program !== undefined) this.#upstream = 'answers';
        break;
      case 'reconnecting':
        if (this.#link === 'up')
          this.#link = {state: event.state, lostAt: performance.now(), kept: event.connections};
        else this.#link.state = event.state;
        break;
      case 'resumed':
        this.#link = 'up';
        break;
      case 'connection':
        if (event.state === 'open') {
          this.#open += 1;
          this.#total += 1;
        }
        if (event.state === 'closed') this.#open -= 1;
        break;
      case 'upstream':
        this.#upstream = event.answers ? 'answers' : 'silent';
        break;
      case 'draining':
        this.#closing = true;
        break;
      case 'exited':
      case 'closed':
        this.#ready = undefined;
        break;
    }
  }

  /** Empty before the tunnel is up and after its end. `width`: the cells of a row. */
  rows(width: number): StatusRow[] {
    const ready = this.#ready;
    if (ready === undefined || ready.id !== undefined) return [];
    const {text, more, tone} = this.#state(ready);
    const counts = [`${this.#open} open`, `${this.#total} so far`];
    const whole = `  ${[text, ...more, ...counts].join(' · ')}`;
    const rows: StatusRow[] = [
      {...address(ready, width), tone: 'plain'},
      {text: whole.length < width ? whole : [text, ...counts].join(' · '), tone},
    ];
    const keys = this.#closing ? [] : this.#attendance.keys();
    if (keys.length > 0) rows.push({text: keyRow([...keys, '^C stop'], width), tone: 'faint'});
    return rows;
  }

  /** `more` is left out when there is no room. */
  #state(ready: ReadyEvent): {text: string; more: string[]; tone: Tone} {
    const state = (text: string, tone: Tone, more: string[] = []) => ({text, more, tone});
    if (this.#closing) return state('◌ closing', 'plain');
    if (this.#link !== 'up') {
      const {state: link, kept, lostAt} = this.#link;
      // Whole seconds, so that the row changes once a second.
      const seconds = Math.floor((performance.now() - lostAt) / 1000);
      const away = seconds === 0 ? '' : ` ${time(seconds * 1000)}`;
      const streams = kept === 0 ? '' : `, ${count(kept, 'stream')} kept`;
      return state(`↻ ${LINK_WORDS[link]}${away}${streams}`, 'warning');
    }
    if (this.#upstream === 'silent') return state('✗ upstream does not answer', 'bad');
    if (this.#upstream === 'unknown') return state('◌ connecting to the upstream', 'plain');
    return state('● live', 'good', this.#way(ready));
  }

  /** The relay, and the round trip to it. */
  #way({relay}: ReadyEvent): string[] {
    if (relay.embedded) return ['this machine only'];
    const rttMs = this.#attendance.rttMs();
    return [relayName(relay.url), ...(rttMs === undefined ? [] : [time(rttMs)])];
  }
}

/** The address is always complete, in several rows if needed. The upstream is shown if it fits beside it. */
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
