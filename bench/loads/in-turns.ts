// Small requests through one tunnel and through a second one beside it, in turns: the second has nothing else to keep, so what
// both lose is the machine's noise.

import type {Scope} from '../../test/helpers/scope.js';
import {cpuKey} from '../figures.js';
import type {Tools} from '../machine/tools.js';
import type {Route} from '../peers/peer.js';
import {median} from '../results.js';
import {cpuMeter} from './cpu.js';
import {type WrkResult, wrk} from './wrk.js';

/** Medians of the rounds. */
export interface InTurns {
  perSecond: number;
  p50Ms: number;
  /** CPU time of the relay for each request, µs: on a busy machine it says more than the clock. */
  relayMicros: number;
  /** The figures of the second tunnel. */
  beside: {perSecond: number; p50Ms: number};
  /** The first tunnel's figure ÷ the second's, round by round. */
  ratio: {perSecond: number; p50Ms: number};
}

export interface InTurnsOptions {
  first: Route;
  second: Route;
  connections: number;
  rounds: number;
}

export async function inTurns(
  scope: Scope,
  tools: Tools,
  {first, second, connections, rounds}: InTurnsOptions,
): Promise<InTurns> {
  const load = async (route: Route): Promise<WrkResult> => {
    const result = await wrk(scope, tools, route, {connections, seconds: 2, signal: scope.signal});
    if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
    return result;
  };
  const mine: WrkResult[] = [];
  const others: WrkResult[] = [];
  const micros: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // Each goes first in every second round.
    if (round % 2 === 1) others.push(await load(second));
    const cpu = cpuMeter(first, 'rps');
    const result = await load(first);
    const used = cpu(result.requests / 1e6);
    const of = (kind: string) => used[cpuKey('rps', 'relay', kind)] ?? 0;
    micros.push(of('user') + of('system'));
    mine.push(result);
    if (round % 2 === 0) others.push(await load(second));
  }
  type Key = 'perSecond' | 'p50Ms';
  const middle = (values: readonly number[]) => median(values) ?? Number.NaN;
  const of = (results: readonly WrkResult[], key: Key) => middle(results.map((result) => result[key]));
  const ratio = (key: Key) => middle(mine.map((result, i) => result[key] / (others[i]?.[key] ?? Number.NaN)));
  return {
    perSecond: of(mine, 'perSecond'),
    p50Ms: of(mine, 'p50Ms'),
    relayMicros: middle(micros),
    beside: {perSecond: of(others, 'perSecond'), p50Ms: of(others, 'p50Ms')},
    ratio: {perSecond: ratio('perSecond'), p50Ms: ratio('p50Ms')},
  };
}
