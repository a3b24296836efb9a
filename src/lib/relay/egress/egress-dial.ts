// Dials one destination from an address of an egress. The local address is always one of the set, never the system's choice.

import {Socket} from 'node:net';
import {type SocketRead, withReader} from '../../bytes/socket-reads.js';
import {systemCode} from '../../core/errors.js';
import {dial, openSocket} from '../../net/dial.js';
import {formatHostPort} from '../../protocol/targets.js';
import {familyOf} from './egress-set.js';
import type {LocalPorts, PortLease} from './local-ports.js';
import {isAddressLost} from './source-health.js';

/** The local ports that one dial tries at the most. */
const MOST_PORTS = 128;

/** The `code` of the error when no address of the egress can be used, and when all its ports are taken for this destination. */
export const NO_SOURCE = 'NO_SOURCE';
export const NO_PORT = 'NO_PORT';

export interface EgressDialOptions {
  host: string;
  /** Exactly these are dialled, the best first. */
  addresses: readonly string[];
  port: number;
  timeoutMs: number;
  /** The local address for a destination of this family, as it is now. */
  sourceFor: (family: 4 | 6) => string | undefined;
  /** The address is not of this machine any more. */
  onSourceLost: (source: string, code: string) => void;
  /** A socket has this address, or has no longer. */
  onSource: (source: string, change: 1 | -1) => void;
  ports: Pick<LocalPorts, 'take'>;
  /** Reads the connected socket. Undefined: it has `data` events. */
  reader?: (() => SocketRead) | undefined;
  onOpen: (socket: Socket, ends: {address: string; source: string}) => void;
  onFailed: (error: Error) => void;
}

interface Attempt {
  source: string;
  lease: PortLease;
}

/** As `dial`: returns a function that ends it. */
export function dialFrom(options: EgressDialOptions): () => void {
  const {host, addresses, port, timeoutMs, sourceFor, onSourceLost, onSource, ports, reader} = options;
  /** The last attempt for each address. */
  const attempts = new Map<string, Attempt>();
  let tried = 0;
  const open = (address: string): Socket => {
    const family = familyOf(address);
    attempts.delete(address);
    const source = sourceFor(family);
    if (source === undefined) return failing(NO_SOURCE);
    const lease = ports.take(source, formatHostPort(address, port));
    if (lease === undefined) return failing(NO_PORT);
    tried += 1;
    attempts.set(address, {source, lease});
    const local = {localAddress: source, localPort: lease.port, family};
    const socket = withReader(reader?.(), (more) => openSocket(address, port, {...more, ...local}));
    onSource(source, 1);
    socket.once('close', () => {
      lease.free();
      onSource(source, -1);
    });
    return socket;
  };
  const again = (error: Error, address: string): boolean => {
    const attempt = attempts.get(address);
    if (attempt === undefined) return false;
    const {source, lease} = attempt;
    if (isAddressLost(error)) {
      onSourceLost(source, systemCode(error));
      return tried < MOST_PORTS && sourceFor(familyOf(address)) !== source;
    }
    if (!isPortTaken(error)) return false;
    lease.refused();
    return tried < MOST_PORTS;
  };
  return dial({
    host,
    port,
    timeoutMs,
    keepAlive: false,
    // The name was looked up once, and the answer was judged: there is no second look-up.
    addresses,
    open,
    again,
    onOpen: (socket, address) =>
      options.onOpen(socket, {address, source: attempts.get(address)?.source ?? ''}),
    onFailed: (error) => options.onFailed(isPortTaken(error) ? failure(NO_PORT) : error),
  });
}

/** Another process has this port for this destination, or listens there, or the last connection was a moment ago. */
function isPortTaken(error: Error & {syscall?: string}): boolean {
  const code = systemCode(error);
  return code === 'EADDRINUSE' || (code === 'EADDRNOTAVAIL' && error.syscall === 'connect');
}

const failure = (code: string): Error => Object.assign(new Error(code), {code});

function failing(code: string): Socket {
  return new Socket().destroy(failure(code));
}
