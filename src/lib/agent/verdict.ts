// Decides what follows from a failed attempt to get a link, and from the end of a session.

import type {TunlError} from '../core/errors.js';
import {endsAgent} from './last-word.js';

/**
 * `later`: another attempt after a wait. `new-session`: another one now, without the session that the relay no longer has.
 * `final`: none.
 */
export type Verdict = 'later' | 'new-session' | 'final';

export interface AttemptFacts {
  /** There was no link yet. */
  isFirst: boolean;
  /** Whether the agent waits for the first link. */
  waits: boolean;
  /** Whether the attempt tried to resume a session. */
  hasSession: boolean;
  /** Visitors may know an address. */
  hasServed: boolean;
  /** The attempt went to a relay that another relay has named. */
  triedElsewhere: boolean;
}

/** Refusals of a resume after which the agent asks for a new session. */
const NEEDS_NEW_SESSION: ReadonlySet<string> = new Set([
  'SESSION_UNKNOWN',
  'SESSION_PROOF',
  'SESSION_STALE',
  'SESSION_RANGE',
]);

export function verdictOn(error: TunlError, facts: AttemptFacts): Verdict {
  const {isFirst, waits, hasSession, hasServed, triedElsewhere} = facts;
  if (isFirst && !waits) return 'final';
  if (!isFirst && needsNewSession(error)) return hasSession ? 'new-session' : 'later';
  // A relay that another relay has named cannot decide this.
  return isFinal(error, hasServed) && !triedElsewhere ? 'final' : 'later';
}

export function needsNewSession({code}: TunlError): boolean {
  return NEEDS_NEW_SESSION.has(code);
}

/** Whether further attempts are pointless. When visitors may know an address, only the relay itself can say so. */
export function isFinal(error: TunlError, hasServed: boolean): boolean {
  return hasServed ? endsAgent(error) : !error.retryable;
}
