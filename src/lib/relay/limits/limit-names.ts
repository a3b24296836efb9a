// The names of limits in events and metrics.

/** Whose limit it is. */
export type LimitedBy = 'relay' | 'owner' | 'tunnel' | 'address';

/**
 * `visitors`: connections at once. `new-visitors`: new ones a second. `handshakes`: TLS handshakes in flight.
 * `unknown-names`: new connections a second that ask for names without a tunnel. `sessions`: agents at once, and new connections of agents a second. `tunnels`: names and ports. `streams`: streams that agents open.
 * `members`: memberships of networks, and joins. `egress`: connections by egress at once. `new-egress`: new ones a second.
 */
export type Limit =
  | 'visitors'
  | 'new-visitors'
  | 'handshakes'
  | 'unknown-names'
  | 'sessions'
  | 'tunnels'
  | 'streams'
  | 'members'
  | 'egress'
  | 'new-egress';
