// One line for each visitor's connection when it ends, and one more for a connection that stays open longer.

import type {ConnectionEvent} from '../../agent/events.js';
import {systemClock} from '../../core/clock.js';
import {bytes, time} from '../format.js';
import type {Line} from '../wording.js';

/** A page and its parts load within this time; a connection that is still open gets a separate line. */
const STAY_MS = 2_000;
/** With fewer columns a line has fewer facts. */
const NARROW = 72;

/** With several targets the event has a name. */
type VisitEvent = ConnectionEvent & {tunnel?: string};

interface Visit {
  event: VisitEvent;
  since: number;
}

export class VisitLines {
  /** Open connections without a line yet, the oldest first. */
  readonly #fresh = new Map<string, Visit>();

  /** The line to print now, if any. */
  event(event: VisitEvent, width: number): Line | undefined {
    // Tunnels with different links number their visitors separately.
    const key = `${event.tunnel ?? ''} ${event.id}`;
    if (event.state === 'open') {
      this.#fresh.set(key, {event, since: systemClock.now()});
      return undefined;
    }
    this.#fresh.delete(key);
    return visitLine(event, width);
  }

  /** Lines for connections that have been open for a while. The caller asks from time to time. */
  staying(width: number, now = systemClock.now()): Line[] {
    const lines: Line[] = [];
    for (const [key, {event, since}] of this.#fresh) {
      if (now - since < STAY_MS) break;
      this.#fresh.delete(key);
      lines.push(visitLine(event, width));
    }
    return lines;
  }
}

/** Aligns the facts in columns when there is room. */
export function visitLine(event: VisitEvent, width: number): Line {
  const {state, via, visitor, code, reason, durationMs, bytesIn, bytesOut, tunnel} = event;
  const tone = state === 'refused' ? 'bad' : 'faint';
  const why = code ?? '';
  if (width < NARROW) {
    const who = visitor.slice(0, visitor.lastIndexOf(':'));
    const what =
      state === 'closed' ? [time(durationMs), `${bytes(bytesIn)}/${bytes(bytesOut)}`, why] : [state, why];
    return {tone, text: [tunnel, who, ...what].filter(Boolean).join(' ')};
  }
  const who = `${via}  ${visitor.padEnd(21)}`;
  const what =
    state === 'closed'
      ? [
          time(durationMs).padStart(7),
          `in ${bytes(bytesIn)}`.padEnd(9),
          `out ${bytes(bytesOut)}`,
          reason ?? why,
        ]
      : [state, why];
  return {tone, text: [tunnel, who, ...what].filter(Boolean).join('  ')};
}
