// Which port a program opened that was told none.
import type {Place} from './ready.js';

/** How long a set of ports must stay as it is before it is believed, when the program's own words do not settle it. */
const SETTLE_MS = 400;
// Node's debugger: opened before the program's own port, and never what is to be exposed.
const INSPECTOR_PORT = 9229;

/**
 * The port to expose among those that a program listens on: one that it names in its output (dev servers print their
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

/** Gives the places to ask, for `untilReady`: none until the program's ports are known. */
export function discoverPlaces(options: DiscoverOptions): () => Promise<readonly Place[]> {
  const now = options.now ?? (() => performance.now());
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

/** A program that says `localhost` may mean either. */
export function loopback(port: number): Place[] {
  return [
    {host: '127.0.0.1', port},
    {host: '::1', port},
  ];
}
