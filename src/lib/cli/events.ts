// All events of `--json`: those of a tunnel and those of the other commands. docs/json-events.md documents them.

import type {TunnelEvent} from '../agent/events.js';
import type {ErrorCode} from '../core/errors.js';
import type {RelayAdminEvent} from './relay-events.js';
import type {RoomEvent} from './room-events.js';
import type {TokenEvent} from './token-event.js';

/** `tunl relay start`: the relay accepts agents and visitors. */
export interface ListeningEvent {
  type: 'listening';
  /** The value for --relay of agents. */
  url: string;
  domain: string;
  /** The address that it listens on; the port is the actual one. */
  address: {host: string; port: number};
  /** The address that redirects plain HTTP to HTTPS, if there is one. */
  http?: {host: string; port: number};
  /** The address of metrics, health and the page for operators, if there is one. */
  metrics?: {host: string; port: number};
  /** PEM file of the private CA; absent when certificates were given. */
  caFile?: string;
  /** True when agents must show a token; absent otherwise. */
  tokenRequired?: true;
  /** The file of that token, if it was given as a file. */
  tokenFile?: string;
  /** With --detach: the argument for `tunl stop` and `tunl logs`. */
  id?: string;
}

/** `tunl relay start`: the relay has stopped in order; the last event. */
export interface StoppedEvent {
  type: 'stopped';
}

/** `tunl relay ca`: the path of the private CA's certificate. */
export interface CertificateEvent {
  type: 'certificate';
  caFile: string;
  /** How to make programs and browsers trust it, as text for people. */
  instructions: string;
}

/** `tunl relay check`: a mistake. */
export interface MistakeEvent {
  type: 'mistake';
  file: string;
  /** Both from 1; absent when the mistake has no place in the file. */
  line?: number;
  column?: number;
  code: ErrorCode;
  message: string;
  next: string;
}

/** `tunl relay check`: a relay can start with this file. */
export interface CheckedEvent {
  type: 'checked';
  file: string;
}

/** `tunl relay config`: a setting of the relay. */
export interface SettingEvent {
  type: 'setting';
  /** Its key in a configuration file. */
  name: string;
  /** As it is written in a file or a flag; null when it has none. */
  value: string | readonly string[] | null;
  /** For secrets: `value` is null in any case. */
  secret?: 'given' | 'missing';
  /** With --sources. */
  source?: 'flag' | 'environment' | 'file' | 'default';
  /** The flag, the variable, or `FILE:LINE`; absent for a default. */
  from?: string;
}

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

/** `tunl stop`: a tunnel in the background has ended. */
export interface EndedEvent {
  type: 'ended';
  id: string;
  address: string;
}

/** `tunl login`: the user has to confirm the login in a browser. */
export interface DeviceEvent {
  type: 'device';
  /** The page where the code is entered. */
  url: string;
  code: string;
  /** The same page with the code in it. */
  completeUrl?: string;
  /** ISO 8601: until then the code can be used. */
  expiresAt: string;
}

/** The identity that a relay sees in a token. */
interface SeenIdentity {
  owner?: string;
  /** The id of the token, which is no secret. */
  tokenId?: string;
  /** Absent: everything is allowed. */
  scopes?: readonly string[];
  /** ISO 8601. */
  expiresAt?: string;
}

/** `tunl login`: the login is stored. It has no owner at a relay that asks for no token. */
export interface LoginEvent extends SeenIdentity {
  type: 'login';
  context: string;
  relay: string;
}

/** `tunl whoami` */
export interface IdentityEvent extends SeenIdentity {
  type: 'identity';
  relay: string;
  /** The stored login, if the token is from there. */
  context?: string;
}

/** `tunl logout`: the token is forgotten; the context stays. */
export interface LogoutEvent {
  type: 'logout';
  context: string;
  relay: string;
  /** True: the relay was told. It forgets a token that came from a login there. */
  told: boolean;
}

/** `tunl context list`, `use`, `remove`: a stored login. */
export interface ContextEvent {
  type: 'context';
  state: 'stored' | 'removed';
  context: string;
  /** Absent for `embedded`: a relay inside the process of each command. */
  relay?: string;
  /** True when commands without --relay and --context use it. */
  current: boolean;
  /** True when it has a token. */
  loggedIn: boolean;
  /** ISO 8601: the token's end, if it was told at the login. */
  expiresAt?: string;
}

/** Events of one tunnel, as opposed to events of its link. */
type OwnEvent = Extract<
  TunnelEvent,
  {type: 'ready' | 'probe' | 'connection' | 'upstream' | 'notice' | 'draining' | 'closed' | 'error'}
>;

export type CliEvent =
  /** `tunnel`: the name, in a command with several targets. */
  | (OwnEvent & {tunnel?: string})
  | Exclude<TunnelEvent, OwnEvent>
  | ListeningEvent
  | StoppedEvent
  | CertificateEvent
  | MistakeEvent
  | CheckedEvent
  | SettingEvent
  | BackgroundTunnelEvent
  | LogEvent
  | ExtendedEvent
  | AddedEvent
  | RemovedEvent
  | SharedEvent
  | LinkEvent
  | RevokedEvent
  | AccessEvent
  | EndedEvent
  | DeviceEvent
  | LoginEvent
  | IdentityEvent
  | LogoutEvent
  | ContextEvent
  | RelayAdminEvent
  | TokenEvent
  | RoomEvent;

/** Events that are skipped for a reader that is too slow. All others are few and describe the state. */
export function isExpendable(event: CliEvent): boolean {
  return event.type === 'connection';
}
