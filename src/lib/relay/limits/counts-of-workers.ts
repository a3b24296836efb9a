// The visitors of owners and addresses in all workers of a relay: each worker tells its counts once a second, and hears those of
// the others. A limit over all workers can be exceeded by what comes within that time.

import type {Clock, Timer} from '../../core/clock.js';
import type {Part} from '../part.js';
import type {VisitorCounts} from './visitor-counts.js';

const EVERY_MS = 1_000;
/** Counts below this one are not told: very many addresses have a few visitors each. */
const LEAST_OF_ADDRESS = 8;
/** The most counts in a message. */
const MOST_ROWS = 4_096;

export type CountRow = readonly [name: string, count: number];

/** In the first process. */
export class CountsOfWorkers<Worker> {
  readonly #byWorker = new Map<Worker, readonly CountRow[]>();
  readonly #tellAll: () => void;
  readonly #clock: Clock;
  #timer: Timer | undefined;

  /** @param tellAll tells each worker what `besides` returns for it. */
  constructor(clock: Clock, tellAll: () => void) {
    this.#clock = clock;
    this.#tellAll = tellAll;
  }

  set(worker: Worker, counts: readonly CountRow[]): void {
    if (counts.length === 0) this.#byWorker.delete(worker);
    else this.#byWorker.set(worker, counts);
    this.#timer ??= this.#clock.after(EVERY_MS, () => {
      this.#timer = undefined;
      this.#tellAll();
    });
  }

  left(worker: Worker): void {
    if (this.#byWorker.has(worker)) this.set(worker, []);
  }

  /** The sums over all workers but this one. */
  besides(worker: Worker): CountRow[] {
    const sums = new Map<string, number>();
    for (const [each, counts] of this.#byWorker) {
      if (each === worker) continue;
      for (const [name, count] of counts) sums.set(name, (sums.get(name) ?? 0) + count);
    }
    return [...sums];
  }

  close(): void {
    this.#timer?.cancel();
  }
}

/** In a worker. */
export class CountsTeller implements Part {
  readonly #counts: Pick<VisitorCounts, 'here'>;
  readonly #tell: (counts: readonly CountRow[]) => void;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #last = '';

  constructor({
    counts,
    clock,
    tell,
  }: {counts: Pick<VisitorCounts, 'here'>; clock: Clock; tell: (counts: readonly CountRow[]) => void}) {
    this.#counts = counts;
    this.#clock = clock;
    this.#tell = tell;
  }

  start(): void {
    this.#timer = this.#clock.after(EVERY_MS, () => {
      this.#tellChanges();
      this.start();
    });
  }

  close(): void {
    this.#timer?.cancel();
  }

  #tellChanges(): void {
    const rows: CountRow[] = [];
    for (const [name, count] of this.#counts.here(1)) {
      if (rows.length >= MOST_ROWS) break;
      // A tunnel is in one worker.
      if (name.startsWith('tunnel ') || (name.startsWith('address ') && count < LEAST_OF_ADDRESS)) continue;
      rows.push([name, count]);
    }
    const text = JSON.stringify(rows);
    if (text === this.#last) return;
    this.#last = text;
    this.#tell(rows);
  }
}
