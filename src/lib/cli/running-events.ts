// The events of commands about tunnels and relays that run already: list, logs, stop, extend, add, remove, access,
// share, connect.

import type {ErrorCode} from '../core/errors.js';

/** `tunl list`: a tunnel or a relay that runs in the background, or with --all one that ended there. */
export interface BackgroundTunnelEvent {
  type: 'tunnel';
  state: 'running' | 'ended';
  /** The argument for `tunl logs` and `tunl stop`. */
  id: string;
  address: string;
  /** The words of its command line. */
  command: string;
  pid: number;
  /** ISO 8601. */
  startedAt: string;
  /** Absent for a relay. `tunnel` is the argument for `tunl remove`. */
  tunnels?: readonly {tunnel: string; address: string; upstream: string}[];
  /** Present for a tunnel in a terminal that `tunl share` or `tunl access` can change. */
  foreground?: true;
  expiresAt?: string;
  /** Absent when the process does not answer. */
  status?: BackgroundStatus;
  /** The reason and the time of its end. */
  end?: BackgroundEnd;
}

export interface BackgroundStatus {
  /** `up`; a state of `reconnecting` when no visitor can come; `closing` while the last visitors finish. */
  link: 'up' | 'away' | 'leaving' | 'refused' | 'closing';
  /** The service that visitors reach, as in `ready`; absent for a relay, and with several tunnels. */
  upstream?: string;
  /**
   * Whether visitors reach the tunnels: the state of the last probe through the public name, of several tunnels the worst.
   * Absent when nothing is probed, and for a relay.
   */
  reach?: 'passed' | 'failed' | 'checking';
  /** A relay has no `total`. */
  visitors: {open: number; total?: number};
  /** The bytes of all visitors so far; absent for a relay. */
  bytesIn?: number;
  bytesOut?: number;
  /** When bytes were last seen to move, or a visitor to come or go, ISO 8601. */
  lastTrafficAt?: string;
}

/** `tunl extend`: the tunnel ends later, or sooner. */
export interface ExtendedEvent {
  type: 'extended';
  id: string;
  address: string;
  /** ISO 8601. */
  expiresAt: string;
}

/** `tunl add`: a command in the background has a new tunnel. */
export interface AddedEvent {
  type: 'added';
  id: string;
  /** The argument for `tunl remove`. */
  tunnel: string;
  address: string;
  /** As in `ready`. */
  upstream: string;
}

/** `tunl remove`: a command in the background has one tunnel less. */
export interface RemovedEvent {
  type: 'removed';
  id: string;
  tunnel: string;
  /** Its address until now. */
  address: string;
}

/** `tunl access`: visitors of the tunnel may come from other addresses now. Empty lists: from everywhere. */
export interface AccessEvent {
  type: 'access';
  /** The process with the tunnel, as in `tunl list`. */
  id: string;
  tunnel: string;
  allow: readonly string[];
  deny: readonly string[];
}

/** A link to a private tunnel, without its token. */
interface LinkEventFacts {
  /** The process with the tunnel, as in `tunl list`. */
  id: string;
  /** The tunnel. */
  tunnel: string;
  /** The argument for `tunl share revoke`. */
  link: string;
  /** The name of its visitors for the service. */
  visitor: string;
  /** ISO 8601. */
  createdAt: string;
  /** ISO 8601; absent when it ends with the tunnel. */
  expiresAt?: string;
  /** Present for a link that works once. */
  once?: 'unused' | 'used';
}

/** `tunl share`: a private tunnel has a further link. */
export interface SharedEvent extends LinkEventFacts {
  type: 'shared';
  /** The link. It contains its token, which nothing shows again. */
  url: string;
}

/** `tunl share list`: a link that works. */
export interface LinkEvent extends LinkEventFacts {
  type: 'link';
}

/** `tunl share revoke`: the link works no more, and its visitors are out. */
export interface RevokedEvent extends LinkEventFacts {
  type: 'revoked';
}

export interface BackgroundEnd {
  /**
   * `stopped`: on request. `expired`, `idle`: by --expires, --idle-timeout. `exited`: its program ended. `failed`: by an
   * error. `left`: by a second signal, without the drain. `unknown`: it was killed, or its machine was restarted.
   */
  why: 'stopped' | 'expired' | 'idle' | 'exited' | 'failed' | 'left' | 'unknown';
  /** ISO 8601; absent when it is unknown. */
  at?: string;
  /** The time from its start to its end. */
  durationMs?: number;
  /** The code of an error. */
  code?: ErrorCode;
  message?: string;
  exitCode?: number;
}

/** `tunl logs`: a line of a tunnel in the background, or of its program. */
export interface LogEvent {
  type: 'log';
  id: string;
  line: string;
}

/** `tunl connect --listen`: a port of this machine leads to a tunnel. */
export interface ConnectPortEvent {
  type: 'connect-port';
  /** `host:port` of the tunnel. */
  to: string;
  /** `host:port` of this machine. */
  address: string;
}

/** `tunl stop`: a tunnel in the background has ended. */
export interface EndedEvent {
  type: 'ended';
  id: string;
  address: string;
}

export type RunningEvent =
  | BackgroundTunnelEvent
  | LogEvent
  | ExtendedEvent
  | AddedEvent
  | RemovedEvent
  | SharedEvent
  | LinkEvent
  | RevokedEvent
  | AccessEvent
  | ConnectPortEvent
  | EndedEvent;
