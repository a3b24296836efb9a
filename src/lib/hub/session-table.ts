// The sessions that a hub knows: those that live, those that ended a short time ago, and how each is shown.

import type {LiveSession} from './live-session.js';
import {isFinal, type SessionRecord, type SessionView} from './session.js';

/** Ended sessions are shown for this long, ms. */
const KEEP_ENDED_MS = 24 * 3_600_000;
/** Ended sessions that are kept for one user. */
const MOST_ENDED = 50;

export class SessionTable {
  readonly live = new Map<string, LiveSession>();
  readonly ended = new Map<string, SessionRecord>();
  /** The names of users, by their ids. */
  readonly names = new Map<string, string>();
  readonly #placeOf: (id: string) => number | undefined;

  /** @param placeOf the place in the queue, from 1 */
  constructor(placeOf: (id: string) => number | undefined) {
    this.#placeOf = placeOf;
  }

  /** Running and ended ones. */
  records(): readonly SessionRecord[] {
    return [...[...this.live.values()].map(({record}) => record), ...this.ended.values()];
  }

  recordOf(id: string): SessionRecord | undefined {
    return this.live.get(id)?.record ?? this.ended.get(id);
  }

  view(id: string): SessionView | undefined {
    const record = this.recordOf(id);
    return record && this.viewOf(record);
  }

  viewOf(record: SessionRecord): SessionView {
    const live = this.live.get(record.id);
    const isReady = record.state === 'ready' && live !== undefined;
    const {id, userId, template, name, state, url, createdAt, readyAt, stopsAt, endedAt, end, sandboxId} =
      record;
    return {
      id,
      user: this.names.get(userId) ?? userId,
      template,
      name,
      state,
      createdAt,
      readyAt,
      endedAt,
      end,
      sandboxId,
      queued: this.#placeOf(id),
      ...(isReady && {
        url,
        login: loginOf(live),
        stopsAt,
        idleStopsAt: live.ledger.idleStopsAt,
        keptBy: live.ledger.keptBy,
      }),
    };
  }

  /** Running ones first, then those that ended. @param userId undefined: of all users */
  list(userId?: string): readonly SessionView[] {
    return this.records()
      .filter((record) => userId === undefined || record.userId === userId)
      .sort((a, b) => Number(isFinal(a.state)) - Number(isFinal(b.state)) || a.createdAt - b.createdAt)
      .map((record) => this.viewOf(record));
  }

  /** Forgets what ended long ago. Returns the forgotten records. */
  forgetOld(now: number): readonly SessionRecord[] {
    const newest = [...this.ended.values()].sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0));
    const kept = new Map<string, number>();
    return newest.filter(({id, userId, endedAt = 0}) => {
      const count = (kept.get(userId) ?? 0) + 1;
      kept.set(userId, count);
      if (endedAt >= now - KEEP_ENDED_MS && count <= MOST_ENDED) return false;
      return this.ended.delete(id);
    });
  }
}

function loginOf({record, template}: LiveSession): SessionView['login'] {
  const {login, user} = template.program;
  return login === 'password' ? {user, password: record.secret} : undefined;
}
