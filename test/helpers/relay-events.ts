// Listens to a relay in this process, so that tests wait for events and not for lines of its log.

import type {RelayEvent, RelayListener} from '../../src/lib/relay/events.js';

type Of<Type> = Extract<RelayEvent, {type: Type}>;

export class RelayEar {
  readonly events: RelayEvent[] = [];
  readonly #waiting = new Set<() => void>();

  readonly listen: RelayListener = (event) => {
    this.events.push(event);
    for (const check of this.#waiting) check();
  };

  all<Type extends RelayEvent['type']>(type: Type): Of<Type>[] {
    return this.events.filter((event): event is Of<Type> => event.type === type);
  }

  /** Resolves when this holds, now or after an event. */
  async until(holds: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!holds()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Resolves when this many events of the type have arrived, now or later. */
  async heard(type: RelayEvent['type'], times = 1): Promise<void> {
    await this.until(() => this.all(type).length >= times);
  }
}
