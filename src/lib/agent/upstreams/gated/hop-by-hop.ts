// The headers of one connection, which are not passed on: those of RFC 9110 §7.6.1 and those that `Connection` names.

import {type HeaderList, tokensOf, without} from './headers.js';

const ONE_HOP: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
];

/** `Connection` may name what only one hop needs; what the message itself needs stays. */
const NEEDED: readonly string[] = [
  'host',
  'content-length',
  'cookie',
  'authorization',
  'set-cookie',
  'content-type',
];

export function endToEnd(headers: HeaderList): string[] {
  const named = tokensOf(headers, 'connection').filter((name) => !NEEDED.includes(name));
  return without(headers, (name) => ONE_HOP.includes(name) || named.includes(name));
}
