// Reports logins with tokens that are right, and have ended: somebody still uses them.

import type {Clock} from '../../core/clock.js';
import {RepeatLog} from '../doors/repeat-log.js';
import type {RelayEvents} from '../events.js';
import type {Part} from '../part.js';
import type {Refusal} from './access.js';

/** The most tokens whose last refusal is kept until it is reported. */
const MOST_KEPT = 64;

export class RefusedLogins implements Part {
  readonly #log: RepeatLog;
  readonly #last = new Map<string, Omit<Event, 'type' | 'times'>>();

  constructor({clock, events}: {clock: Clock; events: Pick<RelayEvents, 'emit'>}) {
    this.#log = new RepeatLog({
      clock,
      write: ({from: tokenId, times}) => {
        const last = tokenId === undefined ? undefined : this.#last.get(tokenId);
        if (last === undefined) return;
        events.emit({type: 'login-refused', ...last, ...(times !== undefined && {times})});
      },
    });
  }

  note = ({code, of}: Refusal, from: string): void => {
    if (of?.tokenId === undefined) return;
    const {owner, tokenId} = of;
    this.#last.delete(tokenId);
    this.#last.set(tokenId, {owner, tokenId, code, from});
    const [first] = this.#last.keys();
    if (this.#last.size > MOST_KEPT && first !== undefined) this.#last.delete(first);
    this.#log.note(tokenId);
  };

  close(): void {
    this.#log.close();
  }
}

type Event = Parameters<RelayEvents['emit']>[0] & {type: 'login-refused'};
