// Chooses the certificate authorities for checking a certificate; the cheap set is tried first.

import type {SecureContext} from 'node:tls';
import {systemCode, TunlError} from '../core/errors.js';
import {X509Certificate} from '../core/node-crypto.js';
import {tls} from '../core/node-tls.js';

export type MakeContext = () => SecureContext;

/**
 * Reading the operating system's store and building a context from it takes a tenth of a second. For most relays Node's own
 * list or the given CA is enough. So that set is tried first, and the union of all only when the first set does not know the
 * issuer. Every authority of the first set is in the union as well, so the order only saves time.
 *
 * @param own the CA of this user's own relays: in the union only, because most relays have another one
 * @throws TunlError CERTIFICATE_INVALID
 */
export function trustSets(
  ca: string | undefined,
  own: string | undefined,
): readonly [narrow: MakeContext, wide: MakeContext] {
  if (ca !== undefined) requireCertificate(ca);
  const given = [ca, own].filter((each) => each !== undefined);
  return [() => tls.createSecureContext(ca === undefined ? {} : {ca}), () => widest(given)];
}

/** Node takes text without a certificate as an empty set, and the error would then blame the relay. */
function requireCertificate(ca: string): void {
  try {
    new X509Certificate(ca);
  } catch (cause) {
    throw new TunlError('CERTIFICATE_INVALID', {
      reason: 'The CA file contains no certificate.',
      next: 'Give the relay’s CA certificate as PEM (`tunl relay ca` prints its path).',
      cause,
    });
  }
}

let last: {ca: string; context: SecureContext} | undefined;

function widest(given: readonly string[]): SecureContext {
  const ca = given.join('\n');
  if (last?.ca !== ca) {
    last = {ca, context: tls.createSecureContext({ca: [...machineAuthorities(), ...given]})};
  }
  return last.context;
}

/** Node's list, NODE_EXTRA_CA_CERTS and the system's store; Node before 22.15 returns only its own list. */
export function machineAuthorities(): readonly string[] {
  if (typeof tls.getCACertificates !== 'function') return tls.rootCertificates;
  return [...new Set([...tls.getCACertificates('default'), ...tls.getCACertificates('system')])];
}

/** The error of a handshake whose certificate's issuer is not in the set; another set may have it. */
export function isUnknownIssuer(error: unknown): boolean {
  return error instanceof TunlError && isUnknownIssuerCode(systemCode(error.cause));
}

/** The same for the code of such an error. */
export const isUnknownIssuerCode = (code: string): boolean => UNKNOWN_ISSUER.has(code);

const UNKNOWN_ISSUER: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
]);
