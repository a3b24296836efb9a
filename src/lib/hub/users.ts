// The people who may start sessions, and their tokens. A user is an immutable random id: a name may be given again later, and its
// files must not be.

import {readdir, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';
import {withLock} from '../core/file-lock.js';
import {randomBytes} from '../core/node-crypto.js';
import {openStateDir, writeFileAtomic} from '../core/state-dir.js';

export interface HubUser {
  /** `u_` and ten characters. */
  readonly id: string;
  readonly name: string;
  /** Sessions that run at once. */
  readonly quota: number;
  readonly createdAt: string;
  /** The number of the user among all that there ever were, from 0. As root, its sandboxes run as a uid that follows from it. */
  readonly number: number;
  readonly removedAt?: string | undefined;
}

export const DEFAULT_QUOTA = 2;
const MOST_USERS = 10_000;
const NAME = /^[a-z0-9][a-z0-9._@+-]{0,63}$/;
const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';

export function randomId(prefix: string, length: number): string {
  return prefix + [...randomBytes(length)].map((byte) => LETTERS.charAt(byte & 31)).join('');
}

/** The path of users.json. Its changes are made under a lock, because the command changes it while the hub runs. */
export class HubUsers {
  readonly #stateDir: string;
  #seen: {stamp: string | undefined; users: readonly HubUser[]} | undefined;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  get #path(): string {
    return join(this.#stateDir, 'hub', 'users.json');
  }

  /** Users who were not removed. @throws TunlError HUB_USERS_UNREADABLE */
  async list(): Promise<readonly HubUser[]> {
    return (await this.#read()).filter(({removedAt}) => removedAt === undefined);
  }

  /** @throws TunlError STATE_DIR */
  async byId(id: string): Promise<HubUser | undefined> {
    const stamp = await this.#stamp();
    if (this.#seen === undefined || stamp === undefined || this.#seen.stamp !== stamp)
      this.#seen = {stamp, users: await this.list()};
    return this.#seen.users.find((each) => each.id === id);
  }

  async #stamp(): Promise<string | undefined> {
    return await stat(this.#path).then(
      ({mtimeMs, size, ino}) => `${mtimeMs} ${size} ${ino}`,
      () => undefined,
    );
  }

  /** @throws TunlError OPTION_INVALID */
  async add(name: string, quota = DEFAULT_QUOTA): Promise<HubUser> {
    const checked = checkUserName(name);
    checkQuota(quota);
    return await this.#change((users) => {
      if (users.some((each) => each.name === checked && each.removedAt === undefined))
        throw new TunlError('OPTION_INVALID', {reason: `There is a user ${checked} already.`});
      if (users.length >= MOST_USERS)
        throw new TunlError('OPTION_INVALID', {reason: `There were ${MOST_USERS} users already.`});
      const user: HubUser = {
        id: randomId('u_', 10),
        name: checked,
        quota,
        createdAt: new Date().toISOString(),
        number: Math.max(-1, ...users.map((each) => each.number)) + 1,
      };
      return [[...users, user], user];
    });
  }

  /** The user of this name, who is made now if there is none. A name like the id of another user is a name. @throws TunlError OPTION_INVALID */
  async findOrAdd(name: string, quota: number): Promise<HubUser> {
    const find = async () => named(activeIn(await this.#read()), name);
    // When two come at once, one of them makes the user.
    return (
      (await find()) ??
      (await this.add(name, quota).catch(async (error: unknown) => {
        const user = await find();
        if (user === undefined) throw error;
        return user;
      }))
    );
  }

  /** @throws TunlError HUB_USER_UNKNOWN, OPTION_INVALID */
  async set(nameOrId: string, quota: number): Promise<HubUser> {
    checkQuota(quota);
    return await this.#changeOne(nameOrId, (user) => ({...user, quota}));
  }

  /** The record stays, so that its number is not given again. @throws TunlError HUB_USER_UNKNOWN */
  async remove(nameOrId: string): Promise<HubUser> {
    return await this.#changeOne(nameOrId, (user) => ({...user, removedAt: new Date().toISOString()}));
  }

  /** @throws TunlError HUB_USER_UNKNOWN */
  async find(nameOrId: string): Promise<HubUser> {
    const found = findIn(await this.#read(), nameOrId);
    if (found === undefined) throw new TunlError('HUB_USER_UNKNOWN');
    return found;
  }

  /** Also one who was removed. @throws TunlError HUB_USER_UNKNOWN */
  async findEver(nameOrId: string): Promise<HubUser> {
    const users = await this.#read();
    const active = findIn(users, nameOrId);
    if (active !== undefined) return active;
    const name = nameOrId.toLowerCase();
    const [one, ...others] = users.filter((each) => each.id === nameOrId || each.name === name);
    if (one === undefined) throw new TunlError('HUB_USER_UNKNOWN');
    if (others.length === 0) return one;
    throw new TunlError('HUB_USER_UNKNOWN', {
      reason: `${others.length + 1} users who were removed had the name ${name}.`,
      next: `Give an ID: ${[one, ...others].map(({id}) => id).join(', ')}.`,
    });
  }

  async #changeOne(nameOrId: string, change: (user: HubUser) => HubUser): Promise<HubUser> {
    return await this.#change((users) => {
      const found = findIn(users, nameOrId);
      if (found === undefined) throw new TunlError('HUB_USER_UNKNOWN');
      const changed = change(found);
      return [users.map((each) => (each === found ? changed : each)), changed];
    });
  }

  async #change<T>(change: (users: readonly HubUser[]) => [HubUser[], T]): Promise<T> {
    await openStateDir(this.#stateDir, 'hub');
    return await withLock(`${this.#path}.lock`, async () => {
      const [users, result] = change(await this.#read());
      await writeFileAtomic(this.#path, `${JSON.stringify(users, undefined, 1)}\n`);
      return result;
    });
  }

  /** There were users. Without their list a new one could get an old number, and so the files of somebody else. */
  async #hasHomes(): Promise<boolean> {
    return (await readdir(join(this.#stateDir, 'hub', 'homes')).catch(() => [])).length > 0;
  }

  async #read(): Promise<readonly HubUser[]> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT' && !(await this.#hasHomes())) return [];
      throw new TunlError('STATE_DIR', {
        reason: `${this.#path} cannot be read (${systemCode(error)}).`,
        cause: error,
      });
    }
    const users = parse(text);
    if (users !== undefined) return users;
    // An empty list would give the homes of others to new users.
    throw new TunlError('STATE_DIR', {
      reason: `${this.#path} is damaged.`,
      next: 'Put a backup in its place; nothing was changed.',
    });
  }
}

function findIn(users: readonly HubUser[], nameOrId: string): HubUser | undefined {
  const active = activeIn(users);
  return active.find(({id}) => id === nameOrId) ?? named(active, nameOrId);
}

const activeIn = (users: readonly HubUser[]) => users.filter(({removedAt}) => removedAt === undefined);

const named = (users: readonly HubUser[], wanted: string) =>
  users.find(({name}) => name === wanted.toLowerCase());

function parse(text: string): HubUser[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every(isUser) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isUser(value: unknown): value is HubUser {
  if (typeof value !== 'object' || value === null) return false;
  const {id, name, quota, number} = value as Record<string, unknown>;
  return (
    typeof id === 'string' &&
    /^u_[a-z2-9]{10}$/.test(id) &&
    typeof name === 'string' &&
    Number.isInteger(quota) &&
    Number.isInteger(number)
  );
}

/** @throws TunlError OPTION_INVALID */
export function checkUserName(name: string): string {
  const text = name.toLowerCase();
  if (NAME.test(text)) return text;
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(name.slice(0, 80))} cannot be the name of a user.`,
    next: 'Use 1 to 64 letters, digits and . _ @ + -, such as ana or ana@example.com.',
  });
}

function checkQuota(quota: number): void {
  if (Number.isInteger(quota) && quota >= 0 && quota <= 1_000) return;
  throw new TunlError('OPTION_INVALID', {reason: 'A quota is a whole number from 0 to 1000.'});
}
