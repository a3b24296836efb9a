// CPU time of both ends during a load, for each unit of its work.

import {cpuKey} from '../figures.js';
import {cpuTimeOf} from '../machine/proc.js';
import type {Route} from '../peers/peer.js';
import type {Measured} from './loads.js';

/** The units in which CPU time is told. */
export const BYTES_A_GIB = 2 ** 30;
export const REQUESTS_A_UNIT = 10_000;

/**
 * CPU time of both ends, from now until it is called with the number of units (GiB or 10,000 requests) that were done.
 * Its keys are `cpu.KEY.relay.user` and so on; none without a tunnel.
 */
export function cpuMeter({relayPid, agentPid}: Route, key: string): (units: number) => Measured {
  const ends = Object.entries({relay: relayPid, agent: agentPid}).flatMap(([end, pid]) =>
    pid === undefined ? [] : [{end, pid, before: cpuTimeOf(pid)}],
  );
  return (units) =>
    Object.fromEntries(
      ends.flatMap(({end, pid, before}) => {
        const now = cpuTimeOf(pid);
        return (['user', 'system'] as const).map((kind) => [
          cpuKey(key, end, kind),
          (now[kind] - before[kind]) / units,
        ]);
      }),
    );
}
