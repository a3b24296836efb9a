// Checks the token of one request at the relay's own site: with the limits for failed attempts, and once for each connection.

import type {Duplex} from 'node:stream';
import type {Access, Refusal, Verdict} from '../access/access.js';
import type {PendingConnection} from '../doors/pending-connection.js';

export interface TokenRequest {
  authorization: string | undefined;
  connection: PendingConnection;
  socket: Duplex;
}

/** Calls back at once, or when the token was checked. Never calls back for a connection that has ended meanwhile. */
export function checkToken(
  access: Pick<Access, 'identify' | 'idOf' | 'onRefused'>,
  {authorization, connection, socket}: TokenRequest,
  onVerdict: (verdict: Verdict) => void,
): void {
  const id = access.idOf(authorization);
  // The limit comes before the token check, so a flood of guesses costs no hashes and learns nothing.
  if (!connection.mayLogIn(id)) {
    const message = 'Too many tokens from this address were refused.';
    onVerdict({...BUSY, message, status: 429, retryAfterMs: connection.loginWaitMs(id)});
    return;
  }
  const checked = connection.beginCheck();
  if (checked === undefined) {
    onVerdict({...BUSY, message: 'Too many tokens are being checked.', status: 429});
    return;
  }
  const decide = (verdict: Verdict) => {
    if (!verdict.ok) {
      const {status = 401} = verdict;
      if (status === 401 || status === 403) connection.loginFailed(id, verdict.of === undefined);
      access.onRefused(verdict, connection.peer.address);
    }
    onVerdict(verdict);
  };
  const verdict = access.identify(authorization);
  if (!(verdict instanceof Promise)) {
    checked();
    decide(verdict);
    return;
  }
  // Nobody reads the socket meanwhile, so its bytes stay in it. The connection is still pending, with its deadline.
  void verdict
    .catch((): Verdict => ({...BUSY, message: 'The relay cannot check this token now.'}))
    .finally(checked)
    .then((late) => {
      if (connection.over || socket.destroyed) socket.destroy();
      else decide(late);
    });
}

const BUSY = {ok: false, code: 'RELAY_BUSY', message: '', status: 503, retryAfterMs: 1_000} satisfies Refusal;
