// `--forwarded`: the visitor's address for the upstream, in `Forwarded` (RFC 7239) and in the `X-Forwarded-*` headers.

import {isIPv6} from 'node:net';
import type {GateRequest} from './gate.js';
import {type HeaderList, meansSame, without} from './headers.js';

/** Names by which applications know a visitor's address: none of a visitor's own may remain. */
const CLAIMS: readonly string[] = [
  'forwarded',
  'x-real-ip',
  'x-client-ip',
  'true-client-ip',
  'x-cluster-client-ip',
];

export const isClaim = (name: string): boolean =>
  CLAIMS.some((claim) => meansSame(name, claim)) || name.replaceAll('_', '-').startsWith('x-forwarded');

export function withForwarded(headers: HeaderList, {visitor, authority}: GateRequest): HeaderList {
  const own = without(headers, isClaim);
  if (visitor === undefined) return own;
  const {address, port, via} = visitor;
  const proto = via === 'tls' ? 'https' : 'http';
  // Most applications take the mapped form for another address.
  const plain = /^::ffff:(?=\d+\.)/i.test(address) ? address.slice('::ffff:'.length) : address;
  const node = isIPv6(plain) ? `[${plain}]` : plain;
  const [, publicPort = proto === 'https' ? '443' : '80'] = /:(\d+)$/.exec(authority) ?? [];
  return [
    ...own,
    'Forwarded',
    `for="${node}:${port}";host="${authority}";proto=${proto}`,
    'X-Forwarded-For',
    plain,
    'X-Forwarded-Host',
    authority,
    'X-Forwarded-Proto',
    proto,
    'X-Forwarded-Port',
    publicPort,
    'X-Real-IP',
    plain,
  ];
}
