// Writes the events of a relay to its log.

import {createLogger, type LogSink} from '../core/logger.js';
import {type RelayEvent, RelayEvents, type RelayListener} from './events.js';

/** The events of a relay, which go to its log and to `listeners`. */
export function loggedEvents(sink: LogSink | undefined, listeners: readonly RelayListener[]): RelayEvents {
  return eventsFor(sink, [logEvents(sink), ...listeners]);
}

/** The events of a relay, which go to `listeners` only; `sink` gets a line when one of them fails. */
export function eventsFor(sink: LogSink | undefined, listeners: readonly RelayListener[]): RelayEvents {
  const log = createLogger('relay', sink);
  const events = new RelayEvents((error) => log.error('a listener failed', {reason: String(error)}));
  for (const listener of listeners) events.listen(listener);
  return events;
}

export function logEvents(sink: LogSink | undefined): RelayListener {
  return (event, worker) => {
    const [level, message, about] = lineOf(event);
    const fields = worker === undefined ? about : {...about, worker};
    sink?.({level, scope: 'relay', message, fields, event: event.type});
  };
}

type Line = readonly [
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields: Record<string, unknown>,
];

const REFUSED: Readonly<Record<(RelayEvent & {type: 'turned-away'})['because'], string>> = {
  'no-room': 'no descriptors or memory are left',
  failures: 'too many connections from this source failed',
  blocked: 'the operator has blocked the address',
};

function lineOf(event: RelayEvent): Line {
  const {type, ...fields} = event;
  switch (event.type) {
    case 'agent-connected':
      return ['info', 'agent connected', fields];
    case 'agent-away':
      return ['info', 'link lost', fields];
    case 'agent-resumed':
      return ['info', 'link resumed', fields];
    case 'agent-gone':
      return ['info', 'agent gone', event.code === undefined ? {session: event.session} : fields];
    case 'handshake-failed':
      return ['debug', 'an agent left during the handshake', fields];
    case 'tunnel-bound':
      return ['info', 'tunnel bound', fields];
    case 'tunnel-lost':
      return ['info', 'tunnel lost to another agent of the same owner', fields];
    case 'tunnel-released':
      return ['debug', 'tunnel released', fields];
    case 'bind-refused':
      return [event.code === 'NOT_ALLOWED' ? 'info' : 'debug', 'bind refused', fields];
    case 'member-joined':
      return ['info', 'a member has joined its network', fields];
    case 'member-left':
      return ['info', 'a member has left its network', fields];
    case 'member-refused':
      return [event.code === 'NOT_ALLOWED' ? 'info' : 'debug', 'a member was refused', fields];
    case 'token-ended':
      return ['info', 'the token of a session has ended, and the session with it', fields];
    case 'tunnel-withdrawn':
      return ['info', 'tunnel ended: the token does not allow it any more', fields];
    case 'certificate-refused':
      return ['debug', 'a visitor does not trust the certificate', fields];
    case 'visitor-left-at-once':
      return ['debug', 'a visitor left at once; it may not trust the certificate', fields];
    case 'protocol-refused':
      return ['debug', 'a visitor offers no HTTP protocol of its tunnel', fields];
    case 'address-refused':
      return ['debug', 'a visitor was refused because of its address', fields];
    case 'certificate-expired':
      return ['error', 'the certificate has expired, so visitors do not trust it', fields];
    case 'probe-failed':
      return ['warn', 'the relay does not reach its own tunnel through its public name', fields];
    case 'probe-recovered':
      return ['info', 'the relay reaches its own tunnel through its public name again', fields];
    case 'reloaded': {
      const {changed, needRestart} = event;
      if (needRestart.length === 0) return ['info', 'the settings were read again', listed({changed})];
      return ['warn', 'the settings were read again; some need a restart', listed({changed, needRestart})];
    }
    case 'reload-failed':
      return ['error', 'the new settings cannot be used, the old ones stay', fields];
    case 'issuer-away':
      return ['warn', 'the keys of the issuer cannot be fetched', fields];
    case 'issuer-back':
      return ['info', 'the keys of the issuer were fetched again', fields];
    case 'tokens-read':
      return ['info', 'the tokens were read again', fields];
    case 'tokens-unreadable':
      return ['error', 'the file of tokens cannot be used, the tokens stay as they were', fields];
    case 'login-refused':
      return ['info', 'an agent with a token that has ended was refused', fields];
    case 'kicked':
      return ['info', 'the operator has ended sessions or a tunnel', fields];
    case 'blocked':
      return ['info', 'the operator has blocked this', fields];
    case 'unblocked':
      return ['info', 'the operator has unblocked this', fields];
    case 'drain-requested':
      return ['info', 'the operator wants the relay to end in order', fields];
    case 'worker-ended':
      return ['error', 'a worker process has ended; another one takes its place', fields];
    case 'egress-opened':
      return ['debug', 'a connection by egress is made', fields];
    case 'egress-closed':
      return ['debug', 'a connection by egress is over', fields];
    case 'egress-refused':
      return ['debug', 'a connection by egress was refused', fields];
    case 'egress-address-lost':
      return ['error', 'an address of an egress is not of this machine any more', fields];
    case 'egress-address-back':
      return ['info', 'an address of an egress is of this machine again', fields];
    case 'limit-reached':
      return ['info', 'a limit is reached', fields];
    case 'logged-in':
      return ['info', 'logged in', fields];
    case 'login-failed':
      return ['error', 'a login could not be stored', fields];
    case 'logged-out':
      return ['info', 'logged out', fields];
    case 'token-refused':
      return ['info', 'a token was refused', fields];
    case 'turned-away': {
      const {because, ...line} = fields as Omit<typeof event, 'type'>;
      return [because === 'no-room' ? 'warn' : 'info', `connections are refused: ${REFUSED[because]}`, line];
    }
  }
}

/** Lists that are not empty, each in one field. */
function listed(lists: Readonly<Record<string, readonly string[]>>): Record<string, unknown> {
  const filled = Object.entries(lists).filter(([, list]) => list.length > 0);
  return Object.fromEntries(filled.map(([name, list]) => [name, list.join(' ')]));
}
