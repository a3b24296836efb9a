// The words of an operator: what to block, and which sessions to end.

import {isIP} from 'node:net';
import {TunlError} from '../../core/errors.js';
import {checkLabel, labelUnder} from '../../protocol/names.js';
import {type BlockedEntry, MAX_SUBJECT} from '../access/blocked.js';
import {trustedSources} from '../doors/trusted.js';
import type {LeaseKey} from '../leases/lease-store.js';
import type {SessionReport} from './report.js';

type Subject = Pick<BlockedEntry, 'what' | 'subject'>;

/**
 * `demo`, `demo.r1.example.net`, `tcp:20001`: a name. `203.0.113.7`, `2001:db8::/32`: an address. `owner:ana`: an owner, which
 * may look like a name. All three are in lower case, as those of the relay are.
 *
 * @throws TunlError OPTION_INVALID, NAME_INVALID
 */
export function readSubject(word: string, domain: string): Subject {
  if (word.length > MAX_SUBJECT) throw invalid('The word is too long.');
  const [, kind, rest = ''] = /^(name|address|owner):(.*)$/.exec(word) ?? [undefined, undefined, word];
  if (kind === 'owner') {
    if (rest === '') throw invalid('owner: needs the owner.');
    return {what: 'owner', subject: rest.toLowerCase()};
  }
  const looksLikeAddress = isIP(rest.split(/[/%]/, 1)[0] ?? '') !== 0;
  if (kind === 'address' || (kind === undefined && looksLikeAddress)) {
    const subject = rest.toLowerCase();
    trustedSources([subject]);
    return {what: 'address', subject};
  }
  return {what: 'name', subject: keyOf(rest, domain)};
}

/** The key of a tunnel. @throws TunlError NAME_INVALID, OPTION_INVALID */
function keyOf(word: string, domain: string): LeaseKey {
  const port = /^(?:tcp:|:)(\d{1,5})$/.exec(word)?.[1];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return `tcp:${Number(port)}`;
  const name = word.toLowerCase().replace(/^tls:/, '').replace(/\.$/, '');
  const label = labelUnder(name, domain) ?? name;
  const check = checkLabel(label);
  // A reserved name can be blocked: the list of reserved names may become shorter.
  if (!check.ok && check.code === 'NAME_INVALID') throw new TunlError(check.code, {reason: check.reason});
  return `tls:${label}`;
}

/** `tunl relay kick` ends whole sessions, or one tunnel. */
export type Kicked =
  | {readonly what: 'session' | 'owner'; readonly subject: string; readonly sessions: readonly string[]}
  | {readonly what: 'name'; readonly subject: LeaseKey};

/**
 * A word may be the beginning of a session's id, an owner, or a name. One that means several of them is refused, because ending
 * the wrong tunnels cannot be undone.
 *
 * @throws TunlError NOT_CONNECTED, OPTION_INVALID
 */
export function findKicked(word: string, all: readonly SessionReport[], domain: string): Kicked {
  const [, kind, rest = ''] = /^(session|owner|name):(.*)$/.exec(word) ?? [undefined, undefined, word];
  const found: Kicked[] = [];
  if (kind === undefined || kind === 'session') {
    const sessions = all.map(({session}) => session).filter((id) => rest.length >= 4 && id.startsWith(rest));
    if (sessions.length > 1) throw invalid(`Several sessions begin with ${rest}.`);
    const [subject] = sessions;
    if (subject !== undefined) found.push({what: 'session', subject, sessions});
  }
  if (kind === undefined || kind === 'owner') {
    const wanted = rest.toLowerCase();
    const sessions = all.filter(({owner}) => owner === wanted).map(({session}) => session);
    if (sessions.length > 0) found.push({what: 'owner', subject: wanted, sessions});
  }
  if (kind === undefined || kind === 'name') {
    const subject = keyIfAny(rest, domain);
    const isHere = all.some(({tunnels}) => tunnels.some(({key}) => key === subject));
    if (subject !== undefined && isHere) found.push({what: 'name', subject});
  }
  const [first, second] = found;
  if (first === undefined)
    throw new TunlError('NOT_CONNECTED', {
      reason: `No session, owner or name ${JSON.stringify(word)} is here.`,
    });
  if (second !== undefined)
    throw invalid(
      `${JSON.stringify(word)} is a ${first.what} and a ${second.what}.`,
      `Write ${first.what}:${word} or ${second.what}:${word}.`,
    );
  return first;
}

function keyIfAny(word: string, domain: string): LeaseKey | undefined {
  try {
    return keyOf(word, domain);
  } catch {
    return undefined;
  }
}

function invalid(reason: string, next = 'See `tunl COMMAND --help`.'): TunlError {
  return new TunlError('OPTION_INVALID', {reason, next});
}
