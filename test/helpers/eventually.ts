// For what no event tells: a check that passes sooner or later, on a slow machine later.

import {vi} from 'vitest';

const PATIENCE_MS = 20_000;

/** Repeats `check` until it passes. Rejects with its last error. */
export const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, {timeout: PATIENCE_MS});
