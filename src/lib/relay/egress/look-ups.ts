// Look-ups for many owners with one resolver: an owner whose names are slow waits for itself alone.

import type {Resolver} from '../../net/name-lookup.js';

const AT_ONCE = 8;
const MOST_WAITING = 64;

/** The `code` of the error when an owner has too many look-ups under way. */
export const TOO_MANY_LOOK_UPS = 'EBUSY';

interface Line {
  running: number;
  readonly waiting: (() => void)[];
}

export class LookUps {
  readonly #resolver: Pick<Resolver, 'find'>;
  /** Only owners with look-ups under way have a line. */
  readonly #lines = new Map<string, Line>();

  constructor(resolver: Pick<Resolver, 'find'>) {
    this.#resolver = resolver;
  }

  /** The number of owners with look-ups under way. */
  get owners(): number {
    return this.#lines.size;
  }

  /** As `Resolver.find`. */
  async find(owner: string, name: string): Promise<readonly string[]> {
    let line = this.#lines.get(owner);
    if (line === undefined) {
      line = {running: 0, waiting: []};
      this.#lines.set(owner, line);
    }
    if (line.running < AT_ONCE) line.running += 1;
    else {
      if (line.waiting.length >= MOST_WAITING)
        throw Object.assign(new Error('too many look-ups'), {code: TOO_MANY_LOOK_UPS});
      const {waiting} = line;
      // The place of the one before goes on to this one.
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    try {
      return await this.#resolver.find(name);
    } finally {
      const next = line.waiting.shift();
      if (next !== undefined) next();
      else {
        line.running -= 1;
        if (line.running === 0) this.#lines.delete(owner);
      }
    }
  }
}
