// The actions of the admin socket: a row for each. A request names one, with its words.

import {TunlError} from '../../core/errors.js';
import {type BlockedEntry, MAX_SUBJECT, MOST_BLOCKED} from '../access/blocked.js';
import type {Admin} from './admin.js';
import {overviewOf} from './overview.js';
import {findKicked, readSubject} from './subject.js';

export interface AdminRequest {
  action: string;
  words: readonly string[];
}

export interface Action {
  readonly name: string;
  /** @throws TunlError which is the answer */
  run(admin: Admin, words: readonly string[]): Promise<Record<string, unknown>>;
}

/** The most sessions in an answer. */
export const MOST_SESSIONS = 10_000;
/** The most members of all networks in an answer. */
const MOST_MEMBERS = 10_000;
const MAX_WORDS = 4;

export const ACTIONS: readonly Action[] = [
  {name: 'who', run: async (admin) => identity(admin)},
  {
    name: 'status',
    run: async (admin) => ({
      ...identity(admin),
      overview: await overviewOf(admin),
      egresses: await admin.options.operations.egresses(),
      networks: await admin.options.operations.networks(MOST_MEMBERS),
      sessions: await admin.options.operations.sessions(MOST_SESSIONS),
    }),
  },
  {name: 'kick', run: async (admin, [word = '']) => await kick(admin, word)},
  {name: 'block', run: async (admin, [word = '']) => await block(admin, word)},
  {name: 'unblock', run: async (admin, [word = '']) => await unblock(admin, word)},
  {name: 'blocked', run: async ({options: {blocked}}) => ({entries: await blocked.read()})},
  {
    name: 'reload',
    run: async ({relay}) => {
      if (relay === undefined) throw notYet();
      return {...(await relay.reload())};
    },
  },
  {
    name: 'drain',
    run: async ({relay, isDraining, options: {events}}) => {
      if (relay === undefined) throw notYet();
      // A second request would be a second SIGTERM, which ends the relay at once.
      if (!isDraining) {
        events.emit({type: 'drain-requested'});
        // The answer leaves first.
        setImmediate(() => relay.onDrainRequested());
      }
      return {pid: process.pid, visitors: relay.stats().visitors};
    },
  },
];

/** Undefined for a value that is no request. */
export function readRequest(value: unknown): AdminRequest | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const {do: action, words = []} = value as Record<string, unknown>;
  const areWords = Array.isArray(words) && words.length <= MAX_WORDS && words.every(isWord);
  return typeof action === 'string' && areWords ? {action, words: words as string[]} : undefined;
}

const isWord = (word: unknown): word is string => typeof word === 'string' && word.length <= 2 * MAX_SUBJECT;

/** Tells the relays of one state folder apart. */
function identity({isDraining, relay, options: {domain, software}}: Admin) {
  return {domain, software, pid: process.pid, url: relay?.url, address: relay?.address, draining: isDraining};
}

async function kick({options}: Admin, word: string): Promise<Record<string, unknown>> {
  const {operations, domain, events} = options;
  const found = findKicked(word, await operations.sessions(MOST_SESSIONS), domain);
  const reason = {code: 'KICKED', message: 'The operator of the relay has ended this.'} as const;
  const count =
    found.what === 'name'
      ? await operations.endTunnel(found.subject, reason)
      : await operations.endSessions(found.sessions, reason);
  const {what, subject} = found;
  events.emit({type: 'kicked', what, subject, count});
  return {what, subject, ended: count};
}

async function block({options}: Admin, word: string): Promise<Record<string, unknown>> {
  const {blocked, operations, events, domain} = options;
  const {what, subject} = readSubject(word, domain);
  let entry: BlockedEntry = {what, subject, since: new Date().toISOString()};
  const entries = await blocked.change((before) => {
    const known = before.find(isAbout(entry));
    if (known === undefined && before.length >= MOST_BLOCKED)
      throw new TunlError('OPTION_INVALID', {
        reason: `At most ${MOST_BLOCKED} names, addresses and owners can be blocked.`,
        next: 'Block a range of addresses, or remove some: tunl relay block --list.',
      });
    entry = known ?? entry;
    return known === undefined ? [...before, entry] : before;
  });
  events.emit({type: 'blocked', what, subject});
  return {...entry, ended: await operations.applyBlocks(entries)};
}

async function unblock({options}: Admin, word: string): Promise<Record<string, unknown>> {
  const {blocked, operations, events, domain} = options;
  const {what, subject} = readSubject(word, domain);
  const isThis = isAbout({what, subject});
  const entries = await blocked.change((before) => {
    if (before.some(isThis)) return before.filter((entry) => !isThis(entry));
    throw new TunlError('NOT_CONNECTED', {
      reason: `The ${what} ${JSON.stringify(subject)} is not blocked.`,
      next: '`tunl relay block --list` shows what is blocked.',
    });
  });
  events.emit({type: 'unblocked', what, subject});
  await operations.applyBlocks(entries);
  return {what, subject};
}

const isAbout =
  ({what, subject}: Omit<BlockedEntry, 'since'>) =>
  (entry: BlockedEntry): boolean =>
    entry.what === what && entry.subject === subject;

const notYet = (): TunlError => new TunlError('RELAY_NOT_RUNNING', {reason: 'The relay is still starting.'});
