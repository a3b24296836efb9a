// Reports reached limits as events: the first time at once, later ones as a count.

import type {Clock} from '../../core/clock.js';
import {RepeatLog} from '../doors/repeat-log.js';
import type {RelayEvents} from '../events.js';
import type {Part} from '../part.js';
import type {Limit, LimitedBy} from './limit-names.js';

export class LimitReports implements Part {
  readonly #options: {events: Pick<RelayEvents, 'emit'>; clock: Clock};
  readonly #logs = new Map<string, RepeatLog>();

  constructor(options: {events: Pick<RelayEvents, 'emit'>; clock: Clock}) {
    this.#options = options;
  }

  /** @param of the owner, tunnel or address; empty for the relay. */
  note(limit: Limit, by: LimitedBy, of: string): void {
    const id = `${limit} ${by}`;
    let log = this.#logs.get(id);
    if (log === undefined) {
      const {clock, events} = this.#options;
      log = new RepeatLog({
        clock,
        write: ({from, times}) =>
          events.emit({
            type: 'limit-reached',
            ...{limit, by},
            ...(from && {of: from}),
            ...(times !== undefined && {times}),
          }),
      });
      this.#logs.set(id, log);
    }
    log.note(of);
  }

  close(): void {
    for (const log of this.#logs.values()) log.close();
  }
}
