// The ends of sessions whose agents did not come back: an outage of the network ends many of them in the same moment.

import type {Clock} from '../../core/clock.js';
import {FairTurns} from '../doors/fair-turns.js';

/** Sessions in one turn of the event loop, and the rest between two such turns, ms. */
const SESSIONS_A_TURN = 4;
const REST_MS = 1;

export type Expire = (end: () => void) => void;

export function expireInTurns(clock: Clock): Expire {
  const rest = {soon: (fn: () => void) => void clock.after(REST_MS, fn)};
  const turns = new FairTurns({perTurn: SESSIONS_A_TURN, clock: rest});
  return (end) => turns.run('', end);
}
