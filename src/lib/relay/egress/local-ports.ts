// Chooses the local port of each connection that has a fixed local address.
//
// When the system chooses it, one port serves one connection of that address, whatever the destination is: 28,000 connections
// in all. TCP needs a port only once for each destination, so the ports are given out for each pair of source and destination.

/** A port that another process uses for this destination, or that the system still keeps, is left alone for this long, ms. */
const LEFT_ALONE_MS = 10_000;

export interface LocalPortsOptions {
  first: number;
  last: number;
  now: () => number;
  /** From 0 to 1. Several processes begin at different ports. */
  random?: () => number;
}

interface Pair {
  /** Where the search goes on. */
  at: number;
  /** The number of ports that connections of this process have. */
  inUse: number;
  /** The time until which a port is not given out; Infinity: a connection has it. */
  readonly until: Map<number, number>;
}

/** One port of one pair: the handle to give it back. */
export interface PortLease {
  readonly port: number;
  /** The connection is over. */
  free(): void;
  /** The system does not give this port to this pair now. */
  refused(): void;
}

export class LocalPorts {
  #options: LocalPortsOptions;
  readonly #pairs = new Map<string, Pair>();

  constructor(options: LocalPortsOptions) {
    this.#options = options;
  }

  /** For ports that are taken from now on. */
  setRange(first: number, last: number): void {
    this.#options = {...this.#options, first, last};
  }

  /** The number of pairs that have connections. */
  get pairs(): number {
    return this.#pairs.size;
  }

  /** @param destination address and port. Returns undefined when this process has used all ports for it. */
  take(source: string, destination: string): PortLease | undefined {
    const key = `${source} ${destination}`;
    const pair = this.#pairs.get(key) ?? this.#begin(key);
    const port = this.#next(pair);
    if (port === undefined) return undefined;
    pair.until.set(port, Number.POSITIVE_INFINITY);
    pair.inUse += 1;
    let isOver = false;
    const over = (end: () => void) => {
      if (isOver) return;
      isOver = true;
      pair.inUse -= 1;
      end();
      // Ports that the system refused are forgotten as well: the next search begins elsewhere.
      if (pair.inUse === 0 && this.#pairs.get(key) === pair) this.#pairs.delete(key);
    };
    return {
      port,
      free: () => over(() => pair.until.delete(port)),
      refused: () => over(() => pair.until.set(port, this.#options.now() + LEFT_ALONE_MS)),
    };
  }

  #begin(key: string): Pair {
    const {first, last, random = Math.random} = this.#options;
    const at = first + Math.floor(random() * (last - first + 1));
    const pair = {at, inUse: 0, until: new Map<number, number>()};
    this.#pairs.set(key, pair);
    return pair;
  }

  #next(pair: Pair): number | undefined {
    const {first, last, now} = this.#options;
    const size = last - first + 1;
    if (pair.inUse >= size) return undefined;
    if (pair.at < first || pair.at > last) pair.at = first;
    const time = now();
    for (let looked = 0; looked < size; looked += 1) {
      const port = pair.at;
      pair.at = port === last ? first : port + 1;
      const until = pair.until.get(port);
      if (until === undefined) return port;
      if (until > time) continue;
      pair.until.delete(port);
      return port;
    }
    return undefined;
  }
}
