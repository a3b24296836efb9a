// How far the life of a session may be lengthened.

import {durationText} from '../core/duration.js';
import {TunlError} from '../core/errors.js';
import type {SessionRecord} from './session.js';
import type {Template} from './template.js';

/** A part of an extension that is shorter than this is refused, ms. */
const LEAST_PART_MS = 60_000;

/** As much of it as the template allows. @throws TunlError NOT_ALLOWED when the session has its longest life */
export function extensionOf(
  {readyAt = 0, stopsAt = 0}: SessionRecord,
  {name, maxLifetimeMs}: Template,
  ms: number,
): number {
  const room = maxLifetimeMs === 0 ? ms : readyAt + maxLifetimeMs - stopsAt;
  if (ms <= room) return ms;
  if (room >= LEAST_PART_MS) return room;
  throw new TunlError('NOT_ALLOWED', {
    reason: `A session of ${name} lives ${durationText(maxLifetimeMs)} at most.`,
  });
}
