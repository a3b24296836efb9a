// Turns a failure on the way to a relay into one of the table's codes. Reasons name host and port, never a token.

import type {IncomingHttpHeaders} from 'node:http';
import {ERRORS, type ErrorCode, isErrorCode, systemCode, TunlError} from '../core/errors.js';
import {printable} from '../core/one-line.js';

/** The other end of the connection. Failures of a proxy and of an issuer of identities have one code each. */
export interface Peer {
  kind: 'relay' | 'proxy' | 'issuer';
  /** `host:port` */
  label: string;
}

/** The one code of a peer that is no relay. */
export const ONE_CODE: Readonly<Record<Peer['kind'], ErrorCode | undefined>> = {
  relay: undefined,
  proxy: 'PROXY_FAILED',
  issuer: 'ISSUER_FAILED',
};

const CODES: Record<string, {code: ErrorCode; what: string}> = {
  ECONNREFUSED: {code: 'RELAY_REFUSED', what: 'the connection was refused'},
  EHOSTUNREACH: {code: 'RELAY_REFUSED', what: 'there is no route to the host'},
  ENETUNREACH: {code: 'RELAY_REFUSED', what: 'there is no route to its network'},
  EADDRNOTAVAIL: {code: 'RELAY_REFUSED', what: 'the address cannot be used from here'},
  EACCES: {code: 'RELAY_REFUSED', what: 'this machine forbids the connection'},
  EPERM: {code: 'RELAY_REFUSED', what: 'this machine forbids the connection'},
  ETIMEDOUT: {code: 'RELAY_TIMEOUT', what: 'the connection timed out'},
  ECONNRESET: {code: 'RELAY_LOST', what: 'the connection was closed before an answer came'},
  ADDRESS_REFUSED: {code: 'SUCCESSOR_REFUSED', what: 'its addresses are in a private network'},
  EPIPE: {code: 'RELAY_LOST', what: 'the connection was closed before an answer came'},
};

/** An error of the socket. */
export function socketError(peer: Peer, error: unknown): TunlError {
  const system = systemCode(error);
  if (system.startsWith('ERR_SSL_') || system === 'EPROTO') return tlsFailure(peer, error, system);
  if (error instanceof Error && 'syscall' in error && error.syscall === 'getaddrinfo') {
    const what = system === 'EAI_AGAIN' ? 'the name server does not answer' : 'the name does not resolve';
    return failure(peer, 'RELAY_NAME_UNKNOWN', `${what} (${peer.label})`, error);
  }
  const row = CODES[system] ?? {code: 'RELAY_LOST' as const, what: messageOf(error)};
  return failure(peer, row.code, `${row.what} (${peer.label})`, error);
}

function tlsFailure(peer: Peer, error: unknown, system: string): TunlError {
  if (/UNRECOGNIZED_NAME$/.test(system)) {
    const what = `${peer.label} does not serve this name: use the relay's own name`;
    return failure(peer, 'RELAY_NOT_TUNL', what, error);
  }
  const alert = /ALERT_(\w+)$/.exec(system)?.[1];
  const what =
    alert === undefined
      ? `does not speak TLS (${system || messageOf(error)})`
      : `refused the TLS handshake (${alert.toLowerCase().replaceAll('_', ' ')})`;
  return failure(peer, 'RELAY_NOT_TUNL', `${peer.label} ${what}`, error);
}

/**
 * A certificate that is not trusted. `code` is OpenSSL's or Node's name for the reason; with `hasOwnCa` a CA file was given,
 * and advice to give one would not help.
 */
export function certificateError(
  peer: Peer,
  {host, code, hasOwnCa}: {host: string; code: string; hasOwnCa: boolean},
  error: unknown,
): TunlError {
  const of = `The certificate of ${peer.label}`;
  const otherCa =
    'The given CA file is of another relay, or of an older CA: get the file of this relay again.';
  const row = (reason: string, next?: string) =>
    ONE_CODE[peer.kind] !== undefined
      ? failure(peer, 'RELAY_CERTIFICATE', reason, error)
      : new TunlError('RELAY_CERTIFICATE', {reason, cause: error, ...(next !== undefined && {next})});
  switch (code) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return row(`${of} is self-signed and not among the trusted ones.`, hasOwnCa ? otherCa : undefined);
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return hasOwnCa
        ? row(`${of} is signed neither by the given CA nor by one that this machine knows.`, otherCa)
        : row(`${of} is signed by an authority that this machine does not know.`);
    case 'CERT_SIGNATURE_FAILURE':
      return row(
        `${of} is signed by another authority than the known one of the same name.`,
        'The relay may have a new CA: get its certificate again (`tunl relay ca`).',
      );
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return row(
        `${of} is for ${namesOf(error)}, not for ${host}.`,
        'Use the host name that the relay’s certificate is for.',
      );
    case 'CERT_HAS_EXPIRED':
      return row(`${of} has expired.`, 'Renew the relay’s certificate; check this machine’s clock.');
    case 'CERT_NOT_YET_VALID':
      return row(`${of} is not valid yet.`, 'Check the clocks of the relay and of this machine.');
    default:
      return row(`${of} is not trusted (${printable(code)}).`);
  }
}

function namesOf(error: unknown): string {
  const cert = error instanceof Error && 'cert' in error ? error.cert : undefined;
  const names =
    typeof cert === 'object' &&
    cert !== null &&
    'subjectaltname' in cert &&
    typeof cert.subjectaltname === 'string'
      ? cert.subjectaltname.replace(/(DNS|IP Address):/g, '')
      : '';
  return names === '' ? 'no host' : printable(names);
}

/**
 * An HTTP answer without an upgrade. A relay gives the reason in JSON; any other answer is from something else, or from a
 * proxy in front of the relay.
 */
export function answerError(
  peer: Peer,
  status: number,
  headers: IncomingHttpHeaders,
  body: string,
): TunlError {
  const retryAfterMs = retryAfter(headers['retry-after']);
  const wait = retryAfterMs === undefined ? {} : {retryAfterMs};
  const said = relayError(headers, body);
  if (said !== undefined && status >= 400) {
    const code = isErrorCode(said.code) ? said.code : FALLBACK[status];
    if (code !== undefined) {
      const text = said.message === '' ? ERRORS[code].sentence : printable(said.message);
      // The errors of a gateway may have the same form, but not tunl's codes about tokens and versions.
      const fromRelay = isErrorCode(said.code) || /^(TOKEN|RELAY)_/.test(said.code);
      return new TunlError(code, {reason: `${text} (${peer.label})`, fromRelay, ...wait});
    }
  }
  if (BUSY.has(status)) {
    const reason = `${peer.label} answered ${status}: it, or what it stands behind, takes no connections now.`;
    return new TunlError('RELAY_BUSY', {reason, ...wait});
  }
  return new TunlError('RELAY_NOT_TUNL', {reason: `${peer.label} answered ${status} instead of an upgrade.`});
}

/** For codes of a newer relay that this tunl does not know. */
const FALLBACK: Record<number, ErrorCode> = {
  401: 'TOKEN_WRONG',
  403: 'TOKEN_WRONG',
  426: 'RELAY_TOO_NEW',
  429: 'RELAY_BUSY',
  503: 'RELAY_BUSY',
};

const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504]);

function relayError(headers: IncomingHttpHeaders, body: string): {code: string; message: string} | undefined {
  if (!/^application\/json\b/i.test(headers['content-type'] ?? '')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('error' in value)) return undefined;
  const {error} = value;
  if (typeof error !== 'object' || error === null || !('code' in error) || !('message' in error))
    return undefined;
  const {code, message} = error;
  return typeof code === 'string' && typeof message === 'string' ? {code, message} : undefined;
}

const MAX_RETRY_AFTER_S = 3600;

/** Seconds only: a date would trust two clocks. */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,9}$/.test(header.trim())) return undefined;
  return Math.min(Number(header), MAX_RETRY_AFTER_S) * 1000;
}

/** `code` is for a relay. Behind a proxy every failure is the proxy's. */
export function failure(peer: Peer, code: ErrorCode, what: string, cause?: unknown): TunlError {
  const named = what.startsWith(peer.label) || peer.kind === 'proxy';
  const text = named ? what : `${what[0]?.toUpperCase()}${what.slice(1)}`;
  const reason = `${peer.kind === 'proxy' ? 'The proxy: ' : ''}${text.replace(/\.$/, '')}.`;
  return new TunlError(ONE_CODE[peer.kind] ?? code, {reason, cause});
}

function messageOf(error: unknown): string {
  return printable(error instanceof Error ? error.message : String(error));
}
