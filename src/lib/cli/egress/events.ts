// The events of `tunl egress list`, `listen` and `forward`.

import type {EgressFailedEvent} from '../../egress/egress.js';

/** `tunl egress list`: an egress that the token may use. */
export interface EgressSetEvent {
  type: 'egress-set';
  name: string;
  /** `healthy`: the relay can use it now. */
  addresses: readonly {address: string; healthy: boolean}[];
}

/** The egress of a port. */
interface PortFacts {
  egress: string;
  /** The addresses that destinations see. */
  addresses: readonly string[];
  /** The URL of the relay. */
  relay: string;
  /** The port of this machine. */
  address: {host: string; port: number};
}

/** `tunl egress listen`: the proxy takes connections. */
export interface ProxyEvent extends PortFacts {
  type: 'proxy';
  /** For HTTP_PROXY and the like. It contains the password. */
  url: string;
  /** Absent with --no-auth. It is a secret. */
  password?: string;
  /** With --env: variables for programs, with the password. */
  env?: Readonly<Record<string, string>>;
}

/** `tunl egress forward`: a port leads to its destination. */
export interface ForwardEvent extends PortFacts {
  type: 'forward';
  /** `host:port`. */
  destination: string;
}

/** `tunl egress listen`, `forward`: a connection was not made. */
export type EgressDialEvent = Omit<EgressFailedEvent, 'type'> & {
  type: 'egress-failed';
  /** How often since the last such event about this destination, if more than once. */
  times?: number;
};

export type EgressPortsEvent = EgressSetEvent | ProxyEvent | ForwardEvent | EgressDialEvent;
