// Questions to the site of a relay: who issues identities for it, and whom it sees in a token.

import {type Answer, ask} from '../../carrier/ask.js';
import {answerError} from '../../carrier/dial-errors.js';
import {parseRelayUrl} from '../../carrier/relay-url.js';
import {TunlError} from '../../core/errors.js';
import {
  type Identity,
  type LoginAnswer,
  parseIdentity,
  parseLoginAnswer,
  parseRelayInfo,
  type RelayInfo,
} from '../../protocol/site-messages.js';
import {INFO_PATH, LOGIN_PATH, LOGOUT_PATH, WHOAMI_PATH} from '../../protocol/wire.js';

export type {Identity, IssuerInfo, RelayInfo} from '../../protocol/site-messages.js';

/** A relay, and the certificates that are trusted for it. */
export interface RelayPlace {
  /** `https://host[:port]` */
  origin: string;
  /** PEM text. */
  ca: string | undefined;
  /** PEM text of the CA of this user's own relays. */
  ownCa: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Undefined: the relay is older than logins. @throws TunlError RELAY_*, PROXY_FAILED, ABORTED */
export async function relayInfo(place: RelayPlace): Promise<RelayInfo | undefined> {
  const answer = await send(place, INFO_PATH);
  if (answer.status === 404) return undefined;
  return parsed(place, answer, parseRelayInfo);
}

/** @throws TunlError RELAY_*, PROXY_FAILED, ABORTED, TOKEN_* */
export async function whoAmI(place: RelayPlace, token: string | undefined): Promise<Identity> {
  return parsed(place, await send(place, WHOAMI_PATH, {token}), parseIdentity);
}

/**
 * Exchanges an issuer's token for one of the relay.
 *
 * @param renewed a token from an earlier login: it goes on, and the answer has none.
 * @throws TunlError RELAY_*, PROXY_FAILED, ABORTED, TOKEN_*, NOT_ALLOWED
 */
export async function exchangeToken(
  place: RelayPlace,
  token: string,
  renewed?: string,
): Promise<LoginAnswer> {
  return parsed(place, await send(place, LOGIN_PATH, {token, method: 'POST', renewed}), parseLoginAnswer);
}

/** The relay forgets the token, if it is from a login. @throws TunlError as `whoAmI` */
export async function endLogin(place: RelayPlace, token: string): Promise<void> {
  const answer = await send(place, LOGOUT_PATH, {token, method: 'POST'});
  // An older relay gives no token at a login, so it has none to forget.
  if (answer.status >= 300 && ![404, 405].includes(answer.status)) throw refusal(place, answer);
}

interface Request {
  token?: string | undefined;
  method?: 'GET' | 'POST';
  renewed?: string | undefined;
}

async function send(
  {origin, ca, ownCa, signal}: RelayPlace,
  path: string,
  {token, method = 'GET', renewed}: Request = {},
): Promise<Answer> {
  for (const each of [token, renewed]) {
    // Node's error about an invalid header may contain it.
    if (each !== undefined && !/^[\x21-\x7e]+$/.test(each))
      throw new TunlError('TOKEN_WRONG', {reason: 'The token contains characters that are not allowed.'});
  }
  return await ask({
    url: new URL(path, origin),
    kind: 'relay',
    method,
    headers: {
      ...(token !== undefined && {Authorization: `Bearer ${token}`}),
      ...(renewed !== undefined && {'Tunl-Renew': renewed}),
    },
    ...(method === 'POST' && {body: ''}),
    ca,
    ownCa,
    signal,
  });
}

function parsed<T>(place: RelayPlace, answer: Answer, parse: (body: string) => T | undefined): T {
  const value = answer.status === 200 ? parse(answer.text) : undefined;
  if (value === undefined) throw refusal(place, answer);
  return value;
}

function refusal({origin}: RelayPlace, {status, headers, text}: Answer): TunlError {
  const {label} = parseRelayUrl(origin);
  if (status === 404 || status === 405)
    return new TunlError('RELAY_TOO_OLD', {reason: `The relay ${label} does not know logins yet.`});
  return answerError({kind: 'relay', label}, status, headers, text);
}
