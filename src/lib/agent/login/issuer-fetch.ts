// The way of requests to an issuer of identities: with the proxies and the trust of a link, and bounded in time and size.

import type * as OAuth from 'oauth4webapi';
import {ask} from '../../carrier/ask.js';

export interface IssuerTrust {
  /** PEM; trusted besides the system's authorities. */
  ca: string | undefined;
  ownCa?: string | undefined;
  signal?: AbortSignal | undefined;
}

type Fetch = (url: string, options: OAuth.CustomFetchOptions<string, unknown>) => Promise<Response>;

export function issuerFetch({ca, ownCa, signal}: IssuerTrust): Fetch {
  return async (url, {method, headers, body}) => {
    const answer = await ask({
      url: new URL(url),
      kind: 'issuer',
      method: method === 'POST' ? 'POST' : 'GET',
      headers,
      ...(body !== undefined && {body: String(body)}),
      ca,
      ownCa,
      signal,
    });
    const type = answer.headers['content-type'];
    const isEmpty = answer.status === 204 || answer.status === 304;
    return new Response(isEmpty ? null : answer.text, {
      status: answer.status,
      headers: {...(type !== undefined && {'Content-Type': type})},
    });
  };
}
