// Names, addresses and owners that the operator of this relay has blocked. The list is in the state folder, and all processes of
// the relay have it.

import {TunlError} from '../../core/errors.js';
import {readStateFile, writeFileAtomic} from '../../core/state-dir.js';
import {trustedSources} from '../doors/trusted.js';
import type {LeaseKey} from '../leases/lease-store.js';

/** `subject`: the key of a tunnel, an address or `ADDRESS/PREFIX`, or an owner. `since`: ISO 8601. */
export interface BlockedEntry {
  readonly what: 'name' | 'address' | 'owner';
  readonly subject: string;
  readonly since: string;
}

/** The questions of other parts. */
export interface Blocks {
  hasName(key: LeaseKey): boolean;
  hasAddress(address: string): boolean;
  hasOwner(owner: string): boolean;
}

export const NOTHING_BLOCKED: Blocks = {
  hasName: () => false,
  hasAddress: () => false,
  hasOwner: () => false,
};

/** Each visitor is compared with the addresses, and each agent with the owners. */
export const MOST_BLOCKED = 10_000;
/** The longest subject: a text in a list of owners. */
export const MAX_SUBJECT = 256;

export class Blocked implements Blocks {
  #entries: readonly BlockedEntry[] = [];
  #names: ReadonlySet<string> = new Set();
  #owners: ReadonlySet<string> = new Set();
  #covers: (address: string) => boolean = () => false;

  get entries(): readonly BlockedEntry[] {
    return this.#entries;
  }

  set(entries: readonly BlockedEntry[]): void {
    const subjects = (wanted: BlockedEntry['what']) =>
      entries.filter(({what}) => what === wanted).map(({subject}) => subject);
    this.#covers = trustedSources(subjects('address'));
    this.#names = new Set(subjects('name'));
    this.#owners = new Set(subjects('owner'));
    this.#entries = entries;
  }

  hasName(key: LeaseKey): boolean {
    return this.#names.has(key);
  }

  hasAddress(address: string): boolean {
    return this.#covers(address);
  }

  hasOwner(owner: string): boolean {
    return this.#owners.has(owner);
  }
}

/** @throws TunlError STATE_DIR for a file that cannot be read, or that is no such list: an empty one would let everybody in. */
export async function readBlocked(path: string): Promise<BlockedEntry[]> {
  const text = await readStateFile(path);
  if (text === undefined) return [];
  try {
    const {version, entries} = JSON.parse(text) as Record<string, unknown>;
    if (version !== 1 || !Array.isArray(entries)) throw new Error('it has another form');
    const list = entries.slice(0, MOST_BLOCKED).map(readEntry);
    new Blocked().set(list);
    return list;
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} is not a list of what is blocked (${error instanceof Error ? error.message : 'unknown'}).`,
      next: 'Correct it, or move it away: then nothing is blocked.',
      cause: error,
    });
  }
}

/** @throws TunlError STATE_DIR */
export async function writeBlocked(path: string, entries: readonly BlockedEntry[]): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify({version: 1, entries}, undefined, 1)}\n`);
}

function readEntry(value: unknown): BlockedEntry {
  const {what, subject, since} = (value ?? {}) as Record<string, unknown>;
  const isKind = what === 'name' || what === 'address' || what === 'owner';
  const isText = typeof subject === 'string' && subject !== '' && subject.length <= MAX_SUBJECT;
  if (!isKind || !isText || typeof since !== 'string') throw new Error('an entry has another form');
  // An operator may have written the file.
  return {what, subject: what === 'owner' ? subject.toLowerCase() : subject, since};
}
