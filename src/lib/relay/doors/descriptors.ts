// Finds the number of open descriptors and their limit, without counting all of them.

import {closeSync, openSync, readFileSync} from 'node:fs';
import type {Clock} from '../../core/clock.js';

/** The number is read again after this time, ms, or after this many more connections. */
const LOOK_EVERY_MS = 1_000;
const LOOK_EVERY_MORE = 64;

/** The reserve for agents, files and new connections: an eighth of a small limit, 1,024 of a large one. */
const SHARE_RESERVED = 1 / 8;
const LEAST_RESERVED = 32;
const MOST_RESERVED = 1_024;

export interface DescriptorsOptions {
  clock: Clock;
  /** Open connections, counted at each start and end. */
  connections: () => number;
  system?: DescriptorSystem;
}

export interface DescriptorSystem {
  /** Undefined when the limit is unknown on this system. */
  limit(): number | undefined;
  /** The lowest free number; all below it are in use. Undefined: none is free. */
  lowestFree(): number | undefined;
}

export class Descriptors {
  readonly #options: DescriptorsOptions;
  readonly #system: DescriptorSystem;
  #limit: number;
  /** Other open descriptors at the last read. */
  #others = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #lookedWith = 0;

  constructor(options: DescriptorsOptions) {
    this.#options = options;
    this.#system = options.system ?? linux;
    this.#limit = this.#system.limit() ?? Number.POSITIVE_INFINITY;
  }

  /** True when another visitor would use the reserve for agents and new connections. */
  get noneForVisitors(): boolean {
    return this.#free() <= this.#reserved;
  }

  /** True when another connection would use the reserve for files and accepted visitors. */
  get noneForConnections(): boolean {
    return this.#free() <= this.#reserved / 4;
  }

  get #reserved(): number {
    return Math.min(MOST_RESERVED, Math.max(LEAST_RESERVED, this.#limit * SHARE_RESERVED));
  }

  #free(): number {
    const {clock, connections} = this.#options;
    const count = connections();
    if (clock.now() - this.#lookedAt >= LOOK_EVERY_MS || count - this.#lookedWith >= LOOK_EVERY_MORE) {
      this.#lookedAt = clock.now();
      this.#lookedWith = count;
      this.#limit = this.#system.limit() ?? this.#limit;
      const inUse = this.#system.lowestFree() ?? this.#limit;
      this.#others = Math.max(0, inUse - count);
    }
    return this.#limit - this.#others - count;
  }
}

const linux: DescriptorSystem = {
  limit() {
    try {
      const text = readFileSync('/proc/self/limits', 'latin1');
      const soft = /^Max open files +(\d+)/m.exec(text)?.[1];
      return soft === undefined ? undefined : Number(soft);
    } catch {
      // The system is not Linux, or no descriptor is free for reading.
      return undefined;
    }
  },
  lowestFree() {
    try {
      const fd = openSync('/dev/null', 'r');
      closeSync(fd);
      return fd;
    } catch {
      return undefined;
    }
  },
};
