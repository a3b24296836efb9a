// How many descriptors this process may have and has: found out without counting them one by one.

import {closeSync, openSync, readFileSync} from 'node:fs';
import type {Clock} from '../../core/clock.js';

/** Looked at again after this long, ms, or after so many connections more. */
const LOOK_EVERY_MS = 1_000;
const LOOK_EVERY_MORE = 64;

/** For agents, files and what is on its way in: an eighth of a small allowance, 1,024 of a large one. */
const SHARE_RESERVED = 1 / 8;
const LEAST_RESERVED = 32;
const MOST_RESERVED = 1_024;

export interface DescriptorsOptions {
  clock: Clock;
  /** Connections that are counted as they come and go. */
  connections: () => number;
  system?: DescriptorSystem;
}

export interface DescriptorSystem {
  /** Undefined: not known here. */
  limit(): number | undefined;
  /** The lowest number that is free, undefined: none is. All below it are in use. */
  lowestFree(): number | undefined;
}

export class Descriptors {
  readonly #options: DescriptorsOptions;
  readonly #system: DescriptorSystem;
  #limit: number;
  /** In use besides the connections that are counted, at the last look. */
  #others = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #lookedWith = 0;

  constructor(options: DescriptorsOptions) {
    this.#options = options;
    this.#system = options.system ?? linux;
    this.#limit = this.#system.limit() ?? Number.POSITIVE_INFINITY;
  }

  /** Another visitor would take what is kept for agents and for connections on their way in. */
  get noneForVisitors(): boolean {
    return this.#free() <= this.#reserved;
  }

  /** Another connection would take what is kept for files and for what has been let in already. */
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
      // Not Linux, or no descriptor is left to read it with.
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
