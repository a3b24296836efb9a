// Logins at relays, one file for each: `<state folder>/contexts/NAME.json`, readable by this user alone. A file for each keeps
// two commands from losing each other's changes.

import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {relayOrigin} from '../../carrier/relay-url.js';
import {systemCode, TunlError} from '../../core/errors.js';
import {withLock} from '../../core/file-lock.js';
import {readCaFile} from '../../core/pem.js';
import {shellWord} from '../../core/shell-word.js';
import {openStateDir, readStateFile, removeOldDrafts, writeFileAtomic} from '../../core/state-dir.js';
import {checkState} from '../../core/state-trust.js';

/** The name that means the relay inside the process. No context has it. */
export const EMBEDDED = 'embedded';

const FOLDER = 'contexts';
const CURRENT = 'current';
/** No context has this name. */
const LOCK = '.lock';
const VERSION = 1;

/** Enough for every host with a port. */
const MAX_NAME = 261;

export interface Context {
  readonly name: string;
  /** The relay's URL in its one spelling. */
  readonly relay: string;
  /** PEM file of the relay's CA. */
  readonly caFile?: string;
  /** Missing after a logout, and for a relay that asks for none. */
  readonly token?: string;
  /** ISO 8601; missing: the token has no end that the relay told. */
  readonly expiresAt?: string;
  /** How the token is renewed without the user. */
  readonly renewal?: Renewal;
}

/** The issuer's part of a login. */
export interface Renewal {
  readonly issuer: string;
  readonly clientId: string;
  readonly refreshToken: string;
  /** When to renew, ms since 1970. */
  readonly at: number;
}

export class Contexts {
  readonly #stateDir: string;
  readonly folder: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.folder = join(stateDir, FOLDER);
  }

  /** By name. @throws TunlError STATE_DIR */
  async all(): Promise<Context[]> {
    const names = (await this.#files()).flatMap((file) => nameOf(file) ?? []).sort();
    const read = await Promise.all(names.map((name) => this.#read(name)));
    return read.filter((each) => each !== undefined);
  }

  /** @throws TunlError CONTEXT_UNKNOWN, STATE_DIR */
  async get(name: string): Promise<Context> {
    const found = isContextName(name) ? await this.#read(name) : undefined;
    if (found === undefined) throw new TunlError('CONTEXT_UNKNOWN', {reason: 'There is no such context.'});
    return found;
  }

  /** The login at this relay, if any. @throws TunlError STATE_DIR */
  async at(origin: string): Promise<Context | undefined> {
    return (await this.all()).find(({relay}) => relay === origin);
  }

  /** The CA of the relay that has this name, or a name above it. Undefined: there is none, or it cannot be read. */
  async caFor(host: string): Promise<string | undefined> {
    try {
      const found = (await this.all()).find(({relay, caFile}) => {
        const {hostname} = new URL(relay);
        return caFile !== undefined && (host === hostname || host.endsWith(`.${hostname}`));
      });
      return found?.caFile === undefined ? undefined : await readCaFile(found.caFile);
    } catch {
      return undefined;
    }
  }

  /** The name of the context that commands use by default; undefined: the relay inside the process. @throws TunlError STATE_DIR */
  async current(): Promise<string | undefined> {
    await checkState(this.#stateDir, FOLDER, CURRENT);
    const name = (await readStateFile(join(this.folder, CURRENT)))?.trim();
    return name !== undefined && isContextName(name) ? name : undefined;
  }

  /** The current one, if nothing else says which relay is meant: no flag, and no TUNL_RELAY, even if it is empty. @throws TunlError STATE_DIR */
  async currentBeside(
    {relay, context}: {relay?: string | undefined; context?: string | undefined},
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<string | undefined> {
    return relay !== undefined || context !== undefined || env.TUNL_RELAY === ''
      ? undefined
      : await this.current();
  }

  /** Undefined: the relay inside the process. @throws TunlError CONTEXT_UNKNOWN, STATE_DIR */
  async use(name: string | undefined): Promise<void> {
    if (name === undefined) {
      await this.#remove(CURRENT);
      return;
    }
    await this.get(name);
    await openStateDir(this.#stateDir, FOLDER);
    await writeFileAtomic(join(this.folder, CURRENT), `${name}\n`);
  }

  /** @throws TunlError OPTION_INVALID for the name, STATE_DIR */
  async save(context: Context): Promise<void> {
    checkContextName(context.name);
    await this.#alone(() => this.#write(context));
  }

  /**
   * Saves what has become of the login `before`. Returns false, and leaves the file, when the user has logged out, or in
   * again, meanwhile.
   *
   * @throws TunlError STATE_DIR
   */
  async replace(before: Context, after: Context): Promise<boolean> {
    return await this.#alone(async () => {
      const now = await this.#read(before.name);
      if (now === undefined || !isSameLogin(now, before)) return false;
      await this.#write(after);
      return true;
    });
  }

  /** Removes the login of a context, which stays. Returns it as it was. @throws TunlError CONTEXT_UNKNOWN, STATE_DIR */
  async forgetLogin(name: string): Promise<Context> {
    return await this.#alone(async () => {
      const before = await this.get(name);
      const {token: _, renewal: __, expiresAt: ___, ...after} = before;
      await this.#write(after);
      return before;
    });
  }

  /** If it was the current one, there is none afterwards. @throws TunlError CONTEXT_UNKNOWN, STATE_DIR */
  async remove(name: string): Promise<void> {
    await this.#alone(async () => {
      if (!isContextName(name) || !(await this.#files()).includes(fileOf(name)))
        throw new TunlError('CONTEXT_UNKNOWN', {reason: 'There is no such context.'});
      if ((await this.current()) === name) await this.use(undefined);
      await this.#remove(fileOf(name));
    });
  }

  /** One change at a time, of all processes: a change is written only to what it was made of. */
  async #alone<T>(change: () => Promise<T>): Promise<T> {
    const folder = await openStateDir(this.#stateDir, FOLDER);
    return await withLock(join(folder, LOCK), change);
  }

  async #write({name, ...context}: Context): Promise<void> {
    const path = join(this.folder, fileOf(name));
    await writeFileAtomic(path, `${JSON.stringify({version: VERSION, ...context}, undefined, 2)}\n`);
    await removeOldDrafts(path);
  }

  async #files(): Promise<string[]> {
    try {
      return await readdir(this.folder);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw new TunlError('STATE_DIR', {
        reason: `${this.folder} cannot be read (${systemCode(error)}).`,
        cause: error,
      });
    }
  }

  async #read(name: string): Promise<Context | undefined> {
    const path = join(this.folder, fileOf(name));
    await checkState(this.#stateDir, FOLDER, fileOf(name));
    const text = await readStateFile(path);
    return text === undefined ? undefined : parse(name, path, text);
  }

  async #remove(file: string): Promise<void> {
    const path = join(this.folder, file);
    try {
      await rm(path, {force: true});
    } catch (error) {
      throw new TunlError('STATE_DIR', {
        reason: `${path} cannot be removed (${systemCode(error)}).`,
        cause: error,
      });
    }
  }
}

/** No other login has these two. */
const isSameLogin = (one: Context, other: Context): boolean =>
  one.token === other.token && one.renewal?.refreshToken === other.renewal?.refreshToken;

/** The name of a context when the user gives none: `t.example.com`, `t.example.com:8443`. */
export function usualName(origin: string): string {
  return origin.replace(/^https:\/\//, '');
}

/** @throws TunlError OPTION_INVALID */
export function checkContextName(name: string): void {
  if (name === EMBEDDED) {
    throw new TunlError('OPTION_INVALID', {
      reason: `A context cannot be called ${EMBEDDED}: that is the relay inside the process.`,
      next: 'Give it another name.',
    });
  }
  if (isContextName(name)) return;
  throw new TunlError('OPTION_INVALID', {
    reason: 'This cannot be the name of a context.',
    next: `Use letters, digits and . _ - : [ ], at most ${MAX_NAME}.`,
  });
}

function isContextName(name: string): boolean {
  return name.length <= MAX_NAME && /^[A-Za-z0-9[][\w.:[\]-]*$/.test(name) && name !== EMBEDDED;
}

const SUFFIX = '.json';
const fileOf = (name: string) => `${encodeURIComponent(name)}${SUFFIX}`;

/** Undefined for other files, such as temporary ones. */
function nameOf(file: string): string | undefined {
  if (!file.endsWith(SUFFIX)) return undefined;
  try {
    const name = decodeURIComponent(file.slice(0, -SUFFIX.length));
    return isContextName(name) && fileOf(name) === file ? name : undefined;
  } catch {
    return undefined;
  }
}

/** @throws TunlError STATE_DIR. The content is never repeated: it holds a token. */
function parse(name: string, path: string, text: string): Context {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) throw new Error('not an object');
    const fields = value as Record<string, unknown>;
    if (fields.version !== VERSION) throw new Error('another version');
    return {
      name,
      relay: relayOrigin(String(fields.relay)),
      ...texts(fields, 'caFile', 'token', 'expiresAt'),
      ...(fields.renewal !== undefined && {renewal: renewalOf(fields.renewal)}),
    };
  } catch {
    throw new TunlError('STATE_DIR', {
      reason: `${path} is damaged, or from another version of tunl.`,
      next: `Remove it and log in again: rm ${shellWord(path)}`,
    });
  }
}

function texts<K extends string>(
  fields: Record<string, unknown>,
  ...names: readonly K[]
): {[key in K]?: string} {
  const present = names.flatMap((name) => {
    const value = fields[name];
    if (value === undefined) return [];
    if (typeof value !== 'string') throw new Error('not a text');
    return [[name, value]];
  });
  return Object.fromEntries(present) as {[key in K]?: string};
}

function renewalOf(value: unknown): Renewal {
  if (typeof value !== 'object' || value === null) throw new Error('not an object');
  const {issuer, clientId, refreshToken} = texts(
    value as Record<string, unknown>,
    'issuer',
    'clientId',
    'refreshToken',
  );
  const {at} = value as Record<string, unknown>;
  if (issuer === undefined || clientId === undefined || refreshToken === undefined || typeof at !== 'number')
    throw new Error('incomplete');
  return {issuer, clientId, refreshToken, at};
}
