// The reasons of ends, and whether a session starts again after one.

import type {SessionEnd, SessionRecord} from './session.js';
import type {Template} from './template.js';

/** Starts again after a failure at the most, before the session fails. */
const MOST_RESTARTS = 3;
const FIRST_RESTART_MS = 1_000;
/** After this long as ready, earlier failures no longer count, ms. */
const STEADY_MS = 600_000;

export interface NextStart {
  /** With this one. */
  readonly restarts: number;
  readonly delayMs: number;
}

/** Undefined: it does not start again. */
export function nextStart(
  {readyAt, restarts}: SessionRecord,
  {restart}: Template,
  {end, now}: {end: SessionEnd; now: number},
): NextStart | undefined {
  const isClean = end.reason === 'exited' && restart !== 'always' && end.detail.endsWith('code 0.');
  if (restart === 'never' || readyAt === undefined || !isFailure(end) || isClean) return undefined;
  const before = now - readyAt > STEADY_MS ? 0 : restarts;
  if (before >= MOST_RESTARTS) return undefined;
  return {restarts: before + 1, delayMs: FIRST_RESTART_MS * 2 ** before};
}

const isFailure = ({reason}: SessionEnd): boolean =>
  reason === 'exited' || reason === 'oom' || reason === 'lost';

/** These ends are the plan of somebody. */
export const isForeseen = ({reason}: SessionEnd): boolean =>
  reason === 'timeout' || reason === 'idle' || reason === 'terminated' || reason === 'asked';
