// The events of `tunl login`, `logout`, `whoami` and `context`.

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

export type AccountEvent = DeviceEvent | LoginEvent | IdentityEvent | LogoutEvent | ContextEvent;
