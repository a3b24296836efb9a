// Turns failures between the agent and a TLS upstream into codes with a next step.

import {systemCode, TunlError} from '../../core/errors.js';
import {printable} from '../../core/one-line.js';

const UNKNOWN_ISSUER: readonly string[] = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
];

const TRUST_IT =
  'Give its CA with --upstream-ca (upstreamTls.caFile), or accept any certificate with --upstream-insecure.';

/** Whether another set of authorities may contain the issuer of the refused certificate. */
export function isUnknownIssuer(error: Error): boolean {
  return error instanceof TunlError && UNKNOWN_ISSUER.includes(systemCode(error.cause));
}

/** @param name the name for which the certificate was checked. */
export function tlsError(error: Error, label: string, name: string): Error {
  const code = systemCode(error);
  const of = `The certificate of ${label}`;
  if (UNKNOWN_ISSUER.includes(code)) {
    return new TunlError('UPSTREAM_CERTIFICATE', {
      reason:
        code === 'DEPTH_ZERO_SELF_SIGNED_CERT'
          ? `${of} is self-signed and not among the trusted ones.`
          : `${of} is signed by an authority that this machine does not know.`,
      next: TRUST_IT,
      cause: error,
    });
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new TunlError('UPSTREAM_CERTIFICATE', {
      reason: `${of} is for ${namesOf(error)}, not for ${name}.`,
      next: 'Give a name that the certificate is for: --upstream-server-name (upstreamTls.serverName).',
      cause: error,
    });
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return new TunlError('UPSTREAM_CERTIFICATE', {
      reason: `${of} ${code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet'}.`,
      next: 'Renew it, and check the clocks.',
      cause: error,
    });
  }
  if (/^(CERT|CRL|UNABLE_TO|INVALID_|HOSTNAME)/.test(code)) {
    return new TunlError('UPSTREAM_CERTIFICATE', {
      reason: `${of} is not trusted (${printable(code)}).`,
      next: TRUST_IT,
      cause: error,
    });
  }
  return sayAlert(error, label) ?? error;
}

/** The error for a TLS alert of the server, or for a server without TLS; undefined for all others. */
export function sayAlert(error: Error, label: string): TunlError | undefined {
  const code = systemCode(error);
  if (!code.startsWith('ERR_SSL_') && code !== 'EPROTO') return undefined;
  const alert = /ALERT_(\w+)$/.exec(code)?.[1]?.toLowerCase().replaceAll('_', ' ');
  if (alert === undefined) {
    return new TunlError('UPSTREAM_TLS', {
      reason: `${label} does not speak TLS (${printable(code || error.message)}).`,
      next: 'Leave out https:// for a service without TLS.',
      cause: error,
    });
  }
  return new TunlError('UPSTREAM_TLS', {
    reason: `${label} refused the TLS connection (${alert}).`,
    ...(/certificate|unknown ca/.test(alert) && {
      next: 'Give a client certificate that it accepts: --upstream-cert, --upstream-key (upstreamTls).',
    }),
    cause: error,
  });
}

function namesOf(error: Error): string {
  const cert = 'cert' in error ? error.cert : undefined;
  const names =
    typeof cert === 'object' && cert !== null && 'subjectaltname' in cert ? String(cert.subjectaltname) : '';
  return printable(names.replace(/(DNS|IP Address):/g, '')) || 'no host';
}
