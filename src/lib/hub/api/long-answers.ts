// Answers that stay open, such as events and logs: each ends soon after its token, its sign-in, its rights or
// its user have ended.

import {once} from 'node:events';
import type {ServerResponse} from 'node:http';
import type {Clock, Timer} from '../../core/clock.js';
import type {Caller, Callers} from './callers.js';

/** A client that leaves more than this unread is disconnected, bytes. */
export const MOST_UNREAD = 256 * 1024;
/** Each one is looked at this often, ms. The same interval keeps proxies from closing the connection of an event stream. */
const LOOK_EVERY_MS = 25_000;

export interface LongAnswer {
  readonly res: ServerResponse;
  readonly caller: Caller;
  /** Written at each look. */
  readonly beat?: string;
}

/** False: the token or the sign-in has ended, or lost the right that the caller had at first. */
export function isCurrent({principal: {ended, rights}, isAdmin, signIn}: Caller): boolean {
  if (ended !== undefined || signIn?.isValid() === false) return false;
  return rights.allows('hub', isAdmin ? 'admin' : 'sessions');
}

/** Writes without waiting, or ends the answer: to a client that reads too slowly, or whose token has ended. */
export function writeNow({res, caller}: LongAnswer, text: string): boolean {
  if (res.destroyed) return false;
  if (isCurrent(caller) && res.writableLength <= MOST_UNREAD) return res.write(text);
  res.destroy();
  return false;
}

/** Writes, and waits for a slow reader. False: the client has gone, or its token has ended. */
export async function writeAll(answer: LongAnswer, text: string, gone: AbortSignal): Promise<boolean> {
  const {res} = answer;
  if (gone.aborted) return false;
  if (!writeNow(answer, text) && !res.destroyed) await once(res, 'drain', {signal: gone}).catch(() => {});
  return !res.destroyed && !gone.aborted;
}

export class LongAnswers {
  readonly #open = new Set<LongAnswer>();
  readonly #callers: Partial<Pick<Callers, 'of'>>;
  readonly #clock: Clock;
  #timer: Timer | undefined;

  /** @param callers without `of`: its callers have no users who could be removed. */
  constructor(callers: Partial<Pick<Callers, 'of'>>, clock: Clock) {
    this.#callers = callers;
    this.#clock = clock;
    this.#lookLater();
  }

  add(answer: LongAnswer): void {
    if (answer.res.destroyed) return;
    const {res, caller} = answer;
    if (!isCurrent(caller)) {
      res.destroy();
      return;
    }
    this.#open.add(answer);
    const left = caller.signIn?.left;
    const end = () => res.destroy();
    left?.addEventListener('abort', end, {once: true});
    res.once('close', () => {
      left?.removeEventListener('abort', end);
      this.#open.delete(answer);
    });
  }

  close(): void {
    this.#timer?.cancel();
    for (const {res} of this.#open) res.destroy();
    this.#open.clear();
  }

  async #look(): Promise<void> {
    // One look at each user: a user may have many answers open.
    const users = new Map<string, Promise<boolean>>();
    const isThere = async ({principal}: Caller) => {
      await this.#callers.of?.(principal);
      return true;
    };
    const looks = [...this.#open].map(async (answer) => {
      const {caller, res, beat} = answer;
      const {id} = caller.user;
      const known = users.get(id) ?? isThere(caller).catch(() => false);
      users.set(id, known);
      if (!((await known) && isCurrent(caller))) res.destroy();
      else if (beat !== undefined) writeNow(answer, beat);
    });
    await Promise.all(looks);
  }

  #lookLater(): void {
    this.#timer = this.#clock.after(LOOK_EVERY_MS, () => {
      void this.#look();
      this.#lookLater();
    });
  }
}
