// Limits log lines that strangers can cause at will: the first one is written at once, later ones as a count.

import type {Clock, Timer} from '../../core/clock.js';

/** The least time between two lines of one source, ms. */
const EVERY_MS = 10_000;
/** The most sources with separate lines within that time; all others share one count. */
const MAX_SOURCES = 16;

export interface RepeatLogOptions {
  clock: Clock;
  /** Writes a line. `from`: undefined for the sum of many sources. `times`: how often since its last line, if more than once. */
  write: (line: {from?: string; times?: number; sources?: number}) => void;
}

export class RepeatLog {
  readonly #options: RepeatLogOptions;
  /** Counts that are not logged yet, by source. */
  readonly #counts = new Map<string, number>();
  #others = 0;
  #timer: Timer | undefined;

  constructor(options: RepeatLogOptions) {
    this.#options = options;
  }

  note(from: string): void {
    this.#timer ??= this.#options.clock.after(EVERY_MS, () => this.#tell());
    const count = this.#counts.get(from);
    if (count !== undefined) this.#counts.set(from, count + 1);
    else if (this.#counts.size >= MAX_SOURCES) this.#others += 1;
    else {
      this.#counts.set(from, 0);
      this.#options.write({from});
    }
  }

  close(): void {
    this.#timer?.cancel();
  }

  #tell(): void {
    const counts = [...this.#counts].filter(([, times]) => times > 0);
    const others = this.#others;
    this.#timer = undefined;
    this.#counts.clear();
    this.#others = 0;
    for (const [from, times] of counts) this.#options.write({from, times});
    if (others > 0) this.#options.write({times: others});
    // A source that continues gets its next line in ten seconds, not at once.
    for (const [from] of counts) this.#counts.set(from, 0);
    if (counts.length > 0) this.#timer = this.#options.clock.after(EVERY_MS, () => this.#tell());
  }
}
