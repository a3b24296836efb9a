// Looks up names for programs and agents, with bounds: at most a few at once, and a short memory.
//
// The system's own look-up (`dns.lookup`) blocks one of the few threads that all files of this process need, for as long as
// the slowest name server wants. Questions of others must not do that, so they go to the name servers directly.

import {promises as dns} from 'node:dns';
import {readFile} from 'node:fs/promises';
import {systemClock} from '../core/clock.js';
import {systemCode} from '../core/errors.js';
import {plainAddress} from './host-name.js';
import {knownAddresses} from './localhost.js';

/** All addresses of a name; none: it does not exist. @throws when no name server answers */
export type ResolveName = (name: string) => Promise<readonly string[]>;

export interface ResolverLimits {
  /** Look-ups at once, and further ones that wait for them. */
  readonly atOnce: number;
  readonly waiting: number;
}

/** For one sealed program. */
const FEW: ResolverLimits = {atOnce: 16, waiting: 256};
const REMEMBERED_MS = 5_000;
const MAX_REMEMBERED = 1_024;
/** For each try at each name server, ms. */
const TRY_MS = 2_500;
const TRIES = 2;

interface Remembered {
  readonly found: Promise<readonly string[]>;
  readonly until: number;
}

export class Resolver {
  readonly #resolve: ResolveName;
  readonly #limits: ResolverLimits;
  readonly #memory = new Map<string, Remembered>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(resolve: ResolveName = askNameServers, limits: ResolverLimits = FEW) {
    this.#resolve = resolve;
    this.#limits = limits;
  }

  /** @throws when no name server answers, or too many questions wait */
  async find(name: string): Promise<readonly string[]> {
    const now = systemClock.now();
    const known = this.#memory.get(name);
    if (known !== undefined && known.until > now) return known.found;
    const {atOnce, waiting} = this.#limits;
    // Not remembered: the name has nothing to do with it.
    if (this.#running >= atOnce && this.#waiting.length >= waiting)
      throw Object.assign(new Error('too many look-ups'), {code: 'EBUSY'});
    const found = this.#inTurn(name);
    found.catch(() => {});
    this.#memory.delete(name);
    if (this.#memory.size >= MAX_REMEMBERED) {
      const [oldest] = this.#memory.keys();
      if (oldest !== undefined) this.#memory.delete(oldest);
    }
    this.#memory.set(name, {found, until: now + REMEMBERED_MS});
    return found;
  }

  async #inTurn(name: string): Promise<readonly string[]> {
    if (this.#running >= this.#limits.atOnce)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      return await this.#resolve(name);
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}

const NO_SUCH_NAME = ['ENOTFOUND', 'ENODATA', 'EBADNAME'];

async function askNameServers(name: string): Promise<readonly string[]> {
  const own = knownAddresses(name) ?? (await fromHostsFile(name));
  if (own.length > 0) return own;
  // A new one each time: the machine may have got other name servers.
  const resolver = new dns.Resolver({timeout: TRY_MS, tries: TRIES});
  const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  if (found.length > 0) return found;
  for (const answer of answers) {
    if (answer.status === 'rejected' && !NO_SUCH_NAME.includes(systemCode(answer.reason)))
      throw answer.reason;
  }
  return [];
}

/** Names that the operator has given addresses on this machine. */
async function fromHostsFile(name: string): Promise<string[]> {
  const text = await readFile('/etc/hosts', 'utf8').catch(() => '');
  if (!text.toLowerCase().includes(name)) return [];
  return text.split('\n').flatMap((line) => {
    const [address = '', ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/);
    const plain = names.some((each) => each.toLowerCase() === name) ? plainAddress(address) : undefined;
    return plain === undefined ? [] : [plain];
  });
}
