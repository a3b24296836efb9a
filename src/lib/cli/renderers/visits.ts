// One line for each visitor's connection, when it has ended; who stays longer is named meanwhile.

import type {ConnectionEvent} from '../../agent/events.js';
import {bytes, time} from '../format.js';
import type {Line} from '../wording.js';

/** A page and its parts have come and gone by then; what is still open is a stay. */
const STAY_MS = 2_000;
/** Below this many columns a line tells less. */
const NARROW = 72;

interface Visit {
  event: ConnectionEvent;
  since: number;
}

export class VisitLines {
  /** Not named yet, the oldest first. */
  readonly #fresh = new Map<number, Visit>();

  /** The line that is due now, if any. */
  event(event: ConnectionEvent, width: number): Line | undefined {
    if (event.state === 'open') {
      this.#fresh.set(event.id, {event, since: performance.now()});
      return undefined;
    }
    this.#fresh.delete(event.id);
    return visitLine(event, width);
  }

  /** Lines for those who came a while ago and are still there. To be asked for once in a while. */
  staying(width: number, now = performance.now()): Line[] {
    const lines: Line[] = [];
    for (const [id, {event, since}] of this.#fresh) {
      if (now - since < STAY_MS) break;
      this.#fresh.delete(id);
      lines.push(visitLine(event, width));
    }
    return lines;
  }
}

/** In columns where there is room for them. */
export function visitLine(event: ConnectionEvent, width: number): Line {
  const {state, via, visitor, code, durationMs, bytesIn, bytesOut} = event;
  const tone = state === 'refused' ? 'bad' : 'faint';
  const why = code ?? '';
  if (width < NARROW) {
    const who = visitor.slice(0, visitor.lastIndexOf(':'));
    const what =
      state === 'closed' ? [time(durationMs), `${bytes(bytesIn)}/${bytes(bytesOut)}`, why] : [state, why];
    return {tone, text: [who, ...what].filter(Boolean).join(' ')};
  }
  const who = `${via}  ${visitor.padEnd(21)}`;
  const what =
    state === 'closed'
      ? [time(durationMs).padStart(7), `in ${bytes(bytesIn)}`.padEnd(9), `out ${bytes(bytesOut)}`, why]
      : [state, why];
  return {tone, text: [who, ...what].filter(Boolean).join('  ')};
}
