// From a recorded run to the bars of a chart.

import {cpuKey, figures, rates} from '../figures.js';
import {median, type Verdict} from '../results.js';
import type {Bars, Group} from './bars.js';

/** What a chart needs of the JSON that `npm run bench` writes. */
export interface Recorded {
  began: string;
  commit: string;
  machine: Record<string, string | number>;
  options: {rounds: number; quick: boolean};
  /** The load average before the run: other work on the machine changes all figures but CPU seconds. */
  load: number;
  /** Peer, figure, the value of each round. */
  results: Record<string, Record<string, number[]>>;
  verdicts: readonly Verdict[];
}

/** The median of the rounds' ratios of each rate: a bar above 1 is faster than `to`. */
export function ratios(record: Recorded, peers: readonly string[], to: string): Bars {
  const groups = titled(rates).flatMap(({key, title}): Group[] => {
    const bars = peers.flatMap((peer) => {
      const value = ratio(record.results[peer]?.[key] ?? [], record.results[to]?.[key] ?? []);
      return value === undefined ? [] : [{series: peer, value}];
    });
    return bars.length === 0 ? [] : [{title, bars}];
  });
  return {
    title: `Rates, ${to} = 1. More is better.`,
    note: noteOf(record),
    series: peers,
    groups,
    mark: 1,
    digits: 2,
  };
}

/** CPU seconds of relay and agent together, user and system, for each GiB or 10,000 requests. */
export function cpuPerWork(record: Recorded, peers: readonly string[]): Bars {
  const groups = titled(rates).flatMap(({key, title}): Group[] => {
    const bars = peers.flatMap((peer) => {
      const parts = ['relay', 'agent'].flatMap((end) =>
        ['user', 'system'].map((kind) => median(record.results[peer]?.[cpuKey(key, end, kind)] ?? [])),
      );
      const value = parts.reduce<number>((sum, part) => sum + (part ?? Number.NaN), 0);
      return Number.isFinite(value) ? [{series: peer, value}] : [];
    });
    return bars.length === 0 ? [] : [{title, bars}];
  });
  return {
    title: 'CPU seconds of relay and agent, for each GiB or 10,000 requests. Less is better.',
    note: noteOf(record),
    series: peers,
    groups,
    apart: true,
    digits: 2,
  };
}

/** Both have the same rounds in the same order, unless a round failed in one of them: then medians are compared. */
function ratio(values: readonly number[], others: readonly number[]): number | undefined {
  if (values.length === others.length)
    return median(values.map((value, i) => value / (others[i] ?? Number.NaN)));
  const [one, other] = [median(values), median(others)];
  return one === undefined || other === undefined ? undefined : one / other;
}

function titled(keys: readonly string[]): {key: string; title: string}[] {
  return figures
    .filter(({key}) => keys.includes(key))
    .map(({key, title}) => ({key, title: title.replace(/, MB\/s$/, '')}));
}

/** Where and when, and how far the figures can be trusted. */
export function noteOf(record: Recorded): string {
  const {began, commit, machine, options, load} = record;
  return (
    `${began.slice(0, 10)}, commit ${commit}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ` +
    `${options.rounds} round(s)${options.quick ? ' of one second' : ''}, load average before ${load.toFixed(1)}` +
    noiseOf(record)
  );
}

/** How far apart the rounds of tunl's rates are, against their median. Nothing for a single round. */
function noiseOf({results}: Recorded): string {
  const spreads = rates.flatMap((key) => {
    const values = results.tunl?.[key] ?? [];
    const middle = median(values);
    if (values.length < 2 || middle === undefined || middle === 0) return [];
    return [(Math.max(...values) - Math.min(...values)) / middle];
  });
  if (spreads.length === 0) return '';
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  return `, spread of tunl’s rounds ${percent(median(spreads) ?? 0)}, at most ${percent(Math.max(...spreads))}`;
}
