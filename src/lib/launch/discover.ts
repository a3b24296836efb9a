// Finds the port of a program that was given none.
import {systemClock} from '../core/clock.js';
import type {Place} from './ready.js';

/** A set of ports must stay unchanged for this long, ms, unless the program's output names one of them. */
const SETTLE_MS = 400;
// Node's debugger opens this port before the program opens its own; it is never the one to expose.
const INSPECTOR_PORT = 9229;

/**
 * Chooses the port to expose among those that a program listens on: one that its output names (dev servers print their
 * address), else the lowest. `sure` when nothing could change the choice.
 */
export function choosePort(
  ports: readonly number[],
  lines: readonly string[],
): {port: number; sure: boolean} | undefined {
  const named = new Set(
    lines.flatMap((line) => [...line.matchAll(/[:\s](\d{2,5})\b/g)].map((match) => Number(match[1]))),
  );
  const candidates = ports.filter((port) => port !== INSPECTOR_PORT);
  const spoken = candidates.find((port) => named.has(port));
  if (spoken !== undefined) return {port: spoken, sure: true};
  const [lowest] = candidates.length > 0 ? candidates : ports;
  return lowest === undefined ? undefined : {port: lowest, sure: false};
}

export interface DiscoverOptions {
  readonly ports: () => Promise<readonly number[]>;
  readonly lines: () => readonly string[];
  readonly now?: () => number;
}

/** Returns the places for `untilReady`; empty until the program's ports are known. */
export function discoverPlaces(options: DiscoverOptions): () => Promise<readonly Place[]> {
  const now = options.now ?? systemClock.now;
  let known = '';
  let since = 0;
  return async () => {
    const ports = await options.ports();
    const set = ports.join();
    if (set !== known) {
      known = set;
      since = now();
    }
    const choice = choosePort(ports, options.lines());
    if (!choice || (!choice.sure && now() - since < SETTLE_MS)) return [];
    return loopback(choice.port);
  };
}

/** A program that prints `localhost` may mean either address. */
export function loopback(port: number): Place[] {
  return [
    {host: '127.0.0.1', port},
    {host: '::1', port},
  ];
}
