// Durations as people write them on a command line: `30s`, `90m`, `2h`, `1h30m`, `7d`.
//
// The parsers of the registry accept more than a flag should: `ms` reads a bare number as milliseconds and allows negative
// numbers, `parse-duration` skips what it does not know. A wrapper with the missing checks would be longer than this file.

import {TunlError} from './errors.js';

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** The inverse of `duration`, in the largest unit that leaves no remainder: `90000` → `90s`. */
export function durationText(ms: number): string {
  const [unit, unitMs] = [...UNIT_MS].findLast(([, size]) => ms % size === 0) ?? ['ms', 1];
  return ms === 0 ? '0s' : `${ms / unitMs}${unit}`;
}

/** The milliseconds of `2h`, `1h30m` or `0.5s`; a unit is required. */
export function duration(text: string): number {
  const compact = text.trim().toLowerCase();
  let total = 0;
  if (/^(\d{1,9}(\.\d{1,3})?(ms|s|m|h|d)){1,5}$/.test(compact)) {
    for (const [, amount, unit = ''] of compact.matchAll(/([\d.]+)([a-z]+)/g)) {
      total += Number(amount) * (UNIT_MS.get(unit) ?? Number.NaN);
    }
    return Math.round(total);
  }
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(text.slice(0, 40))} is not a duration.`,
    next: 'Write it like 30s, 90m, 2h, 1h30m or 7d.',
  });
}
