// The login of a person at an issuer of identities, from a machine that may have no browser (RFC 8628), and its renewal.

import {setTimeout as wait} from 'node:timers/promises';
import type * as OAuth from 'oauth4webapi';
import {TunlError} from '../../core/errors.js';
import {printable} from '../../core/one-line.js';
import type {IssuerInfo} from '../../protocol/site-messages.js';
import {type IssuerTrust, issuerFetch} from './issuer-fetch.js';
import {loadOauth} from './load-oauth.js';

/** The part of a login that a person does in a browser. */
export interface DeviceCode {
  /** The page where the code is entered. */
  url: string;
  code: string;
  /** The same page with the code in it, if the issuer has one. */
  completeUrl?: string;
  /** ISO 8601. */
  expiresAt: string;
}

/** The issuer's tokens. */
export interface IssuedTokens {
  idToken: string;
  refreshToken: string | undefined;
}

/** The RFC's own default. */
const POLL_S = 5;

/**
 * Resolves when the person has confirmed.
 *
 * @throws TunlError LOGIN_FAILED, ISSUER_FAILED, PROXY_FAILED, ABORTED
 */
export async function deviceLogin(
  {issuer, clientId, scope}: IssuerInfo,
  {onCode, ...trust}: IssuerTrust & {onCode: (code: DeviceCode) => void},
): Promise<IssuedTokens> {
  return await explained(issuer, async () => {
    const {oauth, server, client, options} = await open(issuer, clientId, trust);
    const asked = await oauth.deviceAuthorizationRequest(server, client, oauth.None(), {scope}, options);
    const device = await oauth.processDeviceAuthorizationResponse(server, client, asked);
    const endsAt = Date.now() + device.expires_in * 1_000;
    onCode({
      url: page(device.verification_uri),
      code: printable(device.user_code),
      ...(device.verification_uri_complete !== undefined && {
        completeUrl: page(device.verification_uri_complete),
      }),
      expiresAt: new Date(endsAt).toISOString(),
    });
    for (let seconds = device.interval ?? POLL_S; Date.now() < endsAt; ) {
      await wait(Math.min(seconds * 1_000, endsAt - Date.now()), undefined, {
        ...(trust.signal && {signal: trust.signal}),
      });
      const {device_code: code} = device;
      const answer = await unlessAway(
        oauth.deviceCodeGrantRequest(server, client, oauth.None(), code, options),
      );
      if (answer === undefined) {
        // The person is in the browser for minutes, and the network may change meanwhile. RFC 8628, section 3.5, doubles the wait.
        seconds *= 2;
        continue;
      }
      try {
        return issued(await oauth.processDeviceCodeResponse(server, client, answer));
      } catch (error) {
        const code = error instanceof oauth.ResponseBodyError ? error.error : undefined;
        if (code === 'slow_down') seconds += POLL_S;
        else if (code !== 'authorization_pending') throw error;
      }
    }
    throw new TunlError('LOGIN_FAILED', {reason: 'The code has expired before it was confirmed.'});
  });
}

/** Undefined: the issuer cannot be reached, or is in trouble. */
async function unlessAway(asked: Promise<Response>): Promise<Response | undefined> {
  try {
    const answer = await asked;
    return answer.status < 500 ? answer : undefined;
  } catch (error) {
    if (error instanceof TunlError && error.code !== 'ABORTED') return undefined;
    throw error;
  }
}

/** New tokens without the person. @throws TunlError LOGIN_FAILED: the issuer wants the person; ISSUER_FAILED, PROXY_FAILED, ABORTED */
export async function renewLogin(
  {issuer, clientId, refreshToken}: {issuer: string; clientId: string; refreshToken: string},
  trust: IssuerTrust,
): Promise<IssuedTokens> {
  return await explained(issuer, async () => {
    const {oauth, server, client, options} = await open(issuer, clientId, trust);
    const answer = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refreshToken, options);
    return issued(await oauth.processRefreshTokenResponse(server, client, answer));
  });
}

async function open(issuer: string, clientId: string, trust: IssuerTrust) {
  const oauth = await loadOauth();
  const options = {[oauth.customFetch]: issuerFetch(trust)};
  const at = new URL(issuer);
  const server = await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, options));
  return {oauth, server, client: {client_id: clientId} satisfies OAuth.Client, options};
}

function issued({id_token: idToken, refresh_token: refreshToken}: OAuth.TokenEndpointResponse): IssuedTokens {
  if (idToken === undefined) throw new TunlError('ISSUER_FAILED', {reason: 'The issuer gave no ID token.'});
  return {idToken, refreshToken};
}

/** A page that a person is sent to. */
function page(written: string): string {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url?.protocol === 'https:') return url.href;
  throw new TunlError('ISSUER_FAILED', {reason: 'The issuer names no https page for the login.'});
}

/** Errors of the library hold the answer, which may hold tokens: only the names of the errors are told. */
async function explained<T>(issuer: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TunlError) throw error;
    if (error instanceof Error && error.name === 'AbortError') throw new TunlError('ABORTED', {cause: error});
    const said =
      error instanceof Error && 'error' in error && typeof error.error === 'string' ? error.error : '';
    const {host} = new URL(issuer);
    if (said === 'access_denied')
      throw new TunlError('LOGIN_FAILED', {reason: 'The login was refused in the browser.'});
    if (said === 'expired_token')
      throw new TunlError('LOGIN_FAILED', {reason: 'The code has expired before it was confirmed.'});
    if (said === 'invalid_grant')
      throw new TunlError('LOGIN_FAILED', {
        reason: `${host} does not renew this login.`,
        next: 'Log in again.',
      });
    const why = said === '' ? (error instanceof Error ? error.message : String(error)) : said;
    throw new TunlError('ISSUER_FAILED', {reason: `${host}: ${printable(why)}.`});
  }
}
