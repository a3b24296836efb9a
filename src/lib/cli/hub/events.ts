// The events of `tunl hub …` with `--json`. docs/json-events.md documents them. Times are ISO 8601.

import type {SessionEndReason, SessionState, SessionView} from '../../hub/session.js';
import type {HubUser} from '../../hub/users.js';

/** `tunl hub start`: the hub answers at its address. */
export interface HubEvent {
  type: 'hub';
  url: string;
  templates: readonly string[];
  /** Sessions that it has taken over. */
  sessions: number;
}

/** `tunl hub ps`, `extend` and `stop`: a session. */
export interface HubSessionEvent {
  type: 'hub-session';
  id: string;
  user: string;
  template: string;
  name?: string;
  state: SessionState;
  /** Without the token that opens it, which is its user's. */
  url?: string;
  createdAt: string;
  readyAt?: string;
  stopsAt?: string;
  /** When it stops if nobody uses it. */
  idleStopsAt?: string;
  /** The activity that keeps it alive. */
  keptBy?: {source: string; at: string; detail?: string; isNow: boolean};
  /** Its place in the queue, from 1. */
  queued?: number;
  /** Its sandbox, for `tunl sandbox exec`. */
  sandbox?: string;
  endedAt?: string;
  end?: {reason: SessionEndReason; detail: string; tail: readonly string[]};
}

/** `tunl hub logs`: output of a session. */
export interface HubOutputEvent {
  type: 'hub-output';
  /** The session. */
  id: string;
  /** Cut anywhere between characters. Bytes that are no UTF-8 are replaced. */
  text: string;
}

/** `tunl hub user …`: a user, or a new token of one. */
export interface HubUserEvent {
  type: 'hub-user';
  state: 'added' | 'listed' | 'changed' | 'removed' | 'forgotten' | 'token';
  id: string;
  name: string;
  quota: number;
  createdAt: string;
  /** Only for one that was just made. It is a secret. */
  token?: string;
}

export type HubCliEvent = HubEvent | HubSessionEvent | HubOutputEvent | HubUserEvent;

const date = (ms: number) => new Date(ms).toISOString();

export function sessionEvent(view: SessionView): HubSessionEvent {
  const {id, user, template, name, state, url, createdAt, readyAt, stopsAt, idleStopsAt} = view;
  const {keptBy, queued, sandboxId, endedAt, end} = view;
  return {
    type: 'hub-session',
    id,
    user,
    template,
    state,
    createdAt: date(createdAt),
    ...(name !== undefined && {name}),
    ...(url !== undefined && {url}),
    ...(readyAt !== undefined && {readyAt: date(readyAt)}),
    ...(stopsAt !== undefined && {stopsAt: date(stopsAt)}),
    ...(idleStopsAt !== undefined && {idleStopsAt: date(idleStopsAt)}),
    ...(keptBy !== undefined && {
      keptBy: {
        source: keptBy.source,
        at: date(keptBy.at),
        isNow: keptBy.isNow,
        ...(keptBy.detail !== undefined && {detail: keptBy.detail}),
      },
    }),
    ...(queued !== undefined && {queued}),
    ...(sandboxId !== undefined && {sandbox: sandboxId}),
    ...(endedAt !== undefined && {endedAt: date(endedAt)}),
    ...(end !== undefined && {end}),
  };
}

export function userEvent(user: HubUser, state: HubUserEvent['state'], token?: string): HubUserEvent {
  const {id, name, quota, createdAt} = user;
  return {type: 'hub-user', state, id, name, quota, createdAt, ...(token !== undefined && {token})};
}
