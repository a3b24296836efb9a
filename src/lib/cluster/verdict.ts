// How a start of a cluster over several machines has ended.

import {EXIT} from '../core/errors.js';
import {firstFailure, type Plan} from './barrier.js';
import type {Meeting} from './meeting.js';

export interface Verdict {
  readonly exitCode: number;
  /** The rank that failed first, or was lost. */
  readonly failed?: number;
  readonly lost?: number;
}

export function verdictOf(meeting: Meeting, plan: Plan): Verdict {
  const failure = firstFailure(meeting.exits(plan));
  if (failure !== undefined) return {exitCode: failure.exit.code, failed: failure.rank};
  const [lost] = meeting.lost(plan);
  return lost === undefined ? {exitCode: EXIT.ok} : {exitCode: EXIT.unavailable, failed: lost, lost};
}
