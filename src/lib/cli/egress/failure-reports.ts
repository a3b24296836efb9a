// Reports of connections that were not made. A program that tries again and again must not fill the screen.

import {systemClock} from '../../core/clock.js';
import type {EgressFailedEvent} from '../../egress/egress.js';
import {RepeatLog, type RepeatLogOptions} from '../../relay/doors/repeat-log.js';
import {count} from '../format.js';
import type {Presenter} from '../presenter.js';

export class FailureReports implements Disposable {
  readonly #presenter: Pick<Presenter, 'event' | 'tell'>;
  readonly #log: RepeatLog;

  constructor(presenter: Pick<Presenter, 'event' | 'tell'>, clock = systemClock) {
    this.#presenter = presenter;
    this.#log = new RepeatLog({clock, write: (line) => this.#write(line)});
  }

  note(event: EgressFailedEvent): void {
    this.#log.note(JSON.stringify(event));
  }

  [Symbol.dispose](): void {
    this.#log.close();
  }

  #write({from, times}: Parameters<RepeatLogOptions['write']>[0]): void {
    if (from === undefined) {
      const text = `${count(times ?? 0, 'more connection')} not made, to other destinations`;
      this.#presenter.tell({tone: 'warning', text});
      return;
    }
    const event: EgressFailedEvent = JSON.parse(from);
    this.#presenter.event({...event, type: 'egress-failed', ...(times !== undefined && {times})});
  }
}
