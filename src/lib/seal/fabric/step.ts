// The steps of a start, each with a name for people and a deadline.

import {type Clock, systemClock} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';

/** The slowest step is the start of Node on a busy machine. */
export const STEP_MS = 30_000;

/** @param what begins the sentence that says it was late. @throws TunlError CLUSTER_INCOMPLETE, and what `done` rejects with */
export async function step<T>(
  what: () => string,
  done: Promise<T>,
  clock: Pick<Clock, 'after'> = systemClock,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  const timer = clock.after(STEP_MS, () =>
    late.reject(
      new TunlError('CLUSTER_INCOMPLETE', {
        reason: `${what()} was not ready after ${STEP_MS / 1_000} s.`,
        next: 'Start it again when the machine is less busy.',
      }),
    ),
  );
  try {
    return await Promise.race([done, late.promise]);
  } finally {
    timer.cancel();
  }
}

/** `rank 2`, `ranks 0 and 3`, `ranks 0, 1 and 3`. */
export function ranks(all: readonly number[]): string {
  const before = all.slice(0, -1).join(', ');
  return all.length === 1 ? `rank ${all[0]}` : `ranks ${before} and ${all.at(-1)}`;
}
