// Finds out whether a service that was given without TLS speaks it.

import {isIP, type Socket} from 'node:net';
import {systemCode} from '../../core/errors.js';
import {tls} from '../../core/node-tls.js';
import {PROBE_TIMEOUT_MS} from './upstream.js';

/** OpenSSL's names of alerts; that of one lacks the word. */
const ALERT = /^ERR_SSL_(.*_ALERT_|TLSV1_UNRECOGNIZED_NAME)/;

export interface TlsProbe {
  /** For SNI. */
  host?: string;
  /** Bytes that go before TLS. */
  preface?: Buffer | undefined;
}

/**
 * Begins a TLS handshake on a new connection, and closes it. An alert is an answer in TLS, too, such as for a missing client
 * certificate.
 */
export function answersTls(raw: Socket, {host = '', preface}: TlsProbe = {}): Promise<boolean> {
  return new Promise((resolve) => {
    if (preface !== undefined) raw.write(preface);
    const socket = tls.connect({
      socket: raw,
      // Nothing is sent, so it does not matter who answers.
      rejectUnauthorized: false,
      ...(host !== '' && isIP(host) === 0 && {servername: host.replace(/\.$/, '')}),
    });
    const answer = (speaks: boolean) => {
      clearTimeout(timer);
      resolve(speaks);
      socket.destroy();
      raw.destroy();
    };
    const timer = setTimeout(() => answer(false), PROBE_TIMEOUT_MS).unref();
    raw.on('error', () => {});
    socket.on('error', (error) => answer(ALERT.test(systemCode(error))));
    socket.once('secureConnect', () => answer(true));
    socket.once('close', () => answer(false));
  });
}
