// The headers of one connection, which are not passed on: those of RFC 9110 §7.6.1 and those that `Connection` names.

import {type HeaderList, tokensOf, without} from './headers.js';

const ONE_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** `Connection` may name what only one hop needs; what the message itself needs stays. */
const NEEDED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'cookie',
  'authorization',
  'set-cookie',
  'content-type',
]);

export function endToEnd(headers: HeaderList): string[] {
  // A set, because a head may have a thousand headers and tens of thousands of names, and no gate has let its visitor in yet.
  const named = new Set(tokensOf(headers, 'connection'));
  return without(headers, (name) => ONE_HOP.has(name) || (named.has(name) && !NEEDED.has(name)));
}
