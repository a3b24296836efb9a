// The end of a connection that asks for a name without a tunnel. Blocked names and those that are none of this relay end in the same
// way, so that nobody can tell them apart.

import type {Logger} from '../../core/logger.js';
import type {UnknownNames} from '../limits/unknown-names.js';
import type {PendingConnection} from './pending-connection.js';
import {sayUnknownName} from './tls-alerts.js';

export interface NameRefusal {
  unknownNames: Pick<UnknownNames, 'mayAsk'>;
  log: Logger;
}

/** With an alert that names the reason; beyond the limit of its address with a reset, which costs less. */
export function refuseName(
  {connection, name}: {connection: PendingConnection; name: string | undefined},
  {unknownNames, log}: NameRefusal,
): void {
  if (!unknownNames.mayAsk(connection.peer)) {
    connection.end();
    return;
  }
  log.debug('no tunnel has this name', {from: connection.peer.address, name});
  sayUnknownName(connection.raw);
}
