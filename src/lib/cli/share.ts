// Finds private tunnels of this user that run now, and asks their processes for links.

import {TunlError} from '../core/errors.js';
import {stateDir} from '../core/state-dir.js';
import type {ControlRequest} from '../launch/control.js';
import type {BackgroundTunnel, ListedAddress} from '../launch/journal.js';
import {Roster} from '../launch/roster.js';
import type {LinkEvent, RevokedEvent, SharedEvent} from './running-events.js';

/** Links are made at once; the process may be busy. */
const ANSWER_MS = 5_000;

export interface Found {
  readonly entry: BackgroundTunnel;
  /** The tunnel's name in its command. */
  readonly tunnel: string;
}

/**
 * The tunnel that is meant: by the ID of `tunl list`, its name in its command, or the first part of its host.
 *
 * @throws TunlError BACKGROUND_UNKNOWN, USAGE when several are meant
 */
export async function findTunnel(word: string): Promise<Found> {
  const all = (await new Roster(stateDir()).living()).flatMap((entry) =>
    (entry.tunnels ?? []).map((listed) => ({entry, listed})),
  );
  const exact = all.filter(({entry}) => entry.id === word);
  const found = exact.length > 0 ? exact : all.filter(({listed}) => means(word, listed));
  const [only, ...more] = found;
  if (only === undefined) {
    throw new TunlError('BACKGROUND_UNKNOWN', {
      reason: `No tunnel that runs here is called ${word}.`,
      next: '`tunl list` shows those in the background, and in a terminal those that are private or have rules about addresses.',
    });
  }
  if (more.length > 0) {
    const names = found.map(({entry, listed}) => (exact.length > 0 ? listed.tunnel : entry.id)).join(', ');
    throw new TunlError('USAGE', {reason: `${word} means several tunnels.`, next: `Give one of: ${names}.`});
  }
  return {entry: only.entry, tunnel: only.listed.tunnel};
}

function means(word: string, {tunnel, address, upstream}: ListedAddress): boolean {
  const label = /^https:\/\/([^./:]+)\./.exec(address)?.[1];
  const bare = /^(https:\/\/[^/?]+)/.exec(address)?.[1];
  return [tunnel, upstream, label, bare].includes(word);
}

/** @throws TunlError NOT_PRIVATE, LINKS_TOO_MANY, OPTION_INVALID, BACKGROUND_SILENT */
export async function share(
  {entry, tunnel}: Found,
  options: {expiresMs?: number; once?: boolean; visitor?: string},
): Promise<SharedEvent> {
  const answer = await ask(entry, {do: 'share', tunnel, ...options});
  const link = readLink(entry, answer?.link);
  const {url} = (answer?.link ?? {}) as Record<string, unknown>;
  if (link === undefined || typeof url !== 'string') throw new TunlError('BACKGROUND_SILENT');
  return {type: 'shared', ...link, url};
}

/** @throws TunlError NOT_PRIVATE, BACKGROUND_SILENT */
export async function linksOf({entry, tunnel}: Found): Promise<LinkEvent[]> {
  const answer = await ask(entry, {do: 'share-list', tunnel});
  if (!Array.isArray(answer?.links)) throw new TunlError('BACKGROUND_SILENT');
  return answer.links.flatMap((each: unknown) => {
    const link = readLink(entry, each);
    return link === undefined ? [] : [{type: 'link' as const, ...link}];
  });
}

/** Asks all processes, because ids of links are different. @throws TunlError LINK_UNKNOWN */
export async function revoke(id: string): Promise<RevokedEvent> {
  for (const entry of await new Roster(stateDir()).living()) {
    const answer = await ask(entry, {do: 'share-revoke', link: id}).catch((error: unknown) => {
      if (error instanceof TunlError && error.code === 'LINK_UNKNOWN') return undefined;
      throw error;
    });
    const link = readLink(entry, answer?.link);
    if (link !== undefined) return {type: 'revoked', ...link};
  }
  throw new TunlError('LINK_UNKNOWN', {reason: `No tunnel that runs here has a link ${id}.`});
}

async function ask(entry: BackgroundTunnel, request: ControlRequest) {
  return await new Roster(stateDir()).ask(entry, request, ANSWER_MS);
}

type Facts = Omit<LinkEvent, 'type'>;

/** Undefined for an answer of another version. */
function readLink({id}: BackgroundTunnel, value: unknown): Facts | undefined {
  const {id: link, tunnel, visitor, createdAt, expiresAt, once} = (value ?? {}) as Record<string, unknown>;
  const texts = [link, tunnel, visitor, createdAt];
  if (!texts.every((text) => typeof text === 'string')) return undefined;
  return {
    ...({id, tunnel, link, visitor, createdAt} as Facts),
    ...(typeof expiresAt === 'string' && {expiresAt}),
    ...((once === 'used' || once === 'unused') && {once}),
  };
}
