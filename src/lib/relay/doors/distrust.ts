// Facts that a relay can know about visitors that fail in TLS: the reason that they give, and the silence of those that give none.

import {systemCode} from '../../core/errors.js';

/** For the owner of the tunnel. */
export const DISTRUSTED =
  'A visitor ended the connection, because it does not trust the relay’s certificate.';
export const LEFT_AT_ONCE =
  'A visitor ended the connection as soon as it had the relay’s certificate, without a reason: it may not trust it, as Node, wget and Java say nothing then.';
export const NEEDS_H2 =
  'A visitor was refused, because it speaks only HTTP/2 (as gRPC does), and this tunnel offers HTTP/1.1.';
export const NEEDS_HTTP1 =
  'A visitor was refused, because it speaks only HTTP/1.1, and this tunnel offers only HTTP/2.';

/** Alerts about an untrusted certificate: of curl and Python, of Firefox and Go, of Chromium and Java. */
export function isDistrust(error: unknown): boolean {
  const alert = /_ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN)$/;
  return error instanceof Error && alert.test(systemCode(error));
}

/** The visitor has ended the connection, and gave no reason. */
export function isSilent(error: unknown): boolean {
  return error === undefined || (error instanceof Error && systemCode(error) === 'ECONNRESET');
}

export const isHttp = (protocol: string): boolean => protocol === 'h2' || protocol === 'http/1.1';

/** The HTTP protocol that a visitor offers and its tunnel does not have, when they have none in common. */
export function refusedProtocol(
  asked: readonly string[],
  offers: readonly string[],
): 'h2' | 'http/1.1' | undefined {
  if (asked.some((protocol) => offers.includes(protocol))) return undefined;
  return asked.includes('h2') ? 'h2' : asked.includes('http/1.1') ? 'http/1.1' : undefined;
}
