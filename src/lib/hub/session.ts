// One session: a sandbox that runs a template for a user. Its record outlives the hub, which adopts it again.

import type {EndReason} from '../sandbox/control.js';

/**
 * `queued`: it waits for its turn to start. `starting`: the sandbox exists and does not answer yet. `stopped` and `failed` are
 * final: `stopped` was asked for or foreseen, `failed` was not.
 */
export type SessionState = 'queued' | 'starting' | 'ready' | 'stopping' | 'stopped' | 'failed';

/** Why a session is over. Beside the reasons of a sandbox, `not-ready`: it did not answer in time. `not-started`: there is no sandbox. */
export type SessionEndReason = Exclude<EndReason, 'failed'> | 'not-ready' | 'not-started' | 'asked';

export interface SessionEnd {
  readonly reason: SessionEndReason;
  /** A sentence for people. */
  readonly detail: string;
  /** The last lines of the output, without secrets. */
  readonly tail: readonly string[];
}

/** The content of `sessions/ID/session.json`. Times are ms since 1970. */
export interface SessionRecord {
  /** `s_` and eight characters. */
  readonly id: string;
  readonly userId: string;
  readonly template: string;
  /** The user's own name for it. A user has one running session of each name. */
  readonly name?: string | undefined;
  /** The key of the request that made it: a repeated request gets the same session. */
  readonly requestKey?: string | undefined;
  /** The subdomain of its address. It stays over restarts. */
  readonly label: string;
  /** The program's own token or password. */
  readonly secret: string;
  readonly createdAt: number;
  state: SessionState;
  sandboxId?: string | undefined;
  /** With the token, as a browser opens it. */
  url?: string | undefined;
  readyAt?: number | undefined;
  /** The latest end, whatever happens. Undefined: it has none. */
  stopsAt?: number | undefined;
  endedAt?: number | undefined;
  /** While it is `stopping`: why. After that: why it ended. */
  end?: SessionEnd | undefined;
  /** The number of starts after a failure since it was ready last. */
  restarts: number;
}

export const isFinal = (state: SessionState): boolean => state === 'stopped' || state === 'failed';

/** Why a session still runs. */
export interface KeptBy {
  /** `program`: a kernel works, or its program told of something. `traffic`: its visitors sent more than keep-alives. */
  readonly source: 'program' | 'traffic' | 'exec' | 'stdin' | 'extend' | 'start';
  readonly at: number;
  /** `kernel busy` */
  readonly detail?: string | undefined;
  /** It goes on now, so nothing is idle. */
  readonly isNow: boolean;
}

/** A session as its user and the operator see it. */
export interface SessionView {
  readonly id: string;
  readonly user: string;
  readonly template: string;
  readonly name?: string | undefined;
  readonly state: SessionState;
  readonly url?: string | undefined;
  /** The login at the address, when the address alone does not open it. */
  readonly login?: {readonly user?: string | undefined; readonly password: string} | undefined;
  readonly createdAt: number;
  readonly readyAt?: number | undefined;
  readonly stopsAt?: number | undefined;
  /** When it stops if nobody uses it. */
  readonly idleStopsAt?: number | undefined;
  readonly keptBy?: KeptBy | undefined;
  /** Its place in the queue, from 1. */
  readonly queued?: number | undefined;
  readonly endedAt?: number | undefined;
  readonly end?: SessionEnd | undefined;
  readonly sandboxId?: string | undefined;
}

export type SessionEvent =
  | {readonly type: 'state'; readonly session: SessionView}
  /** It will stop soon. */
  | {
      readonly type: 'warning';
      readonly session: SessionView;
      readonly at: number;
      readonly reason: 'idle' | 'timeout';
    }
  | {readonly type: 'gone'; readonly id: string};

/** For administrators: without what opens the session. */
export function withoutLogin({url, login: _, ...view}: SessionView): SessionView {
  return {...view, ...(url !== undefined && {url: new URL(url).origin})};
}
