// Connections of a sealed program to a port of this machine's loopback, which the user has named.

import type {Socket} from 'node:net';
import {LOCAL_HOST} from '../core/localhost.js';
import {dialUntil, openSocket} from '../net/dial.js';

const DIAL_TIMEOUT_MS = 5_000;

/** Tries both loopback addresses: a program that asks for one of them means the service, wherever it listens. */
export function dialLocalPort(port: number, signal: AbortSignal): Promise<Socket> {
  return dialUntil(signal, {
    host: LOCAL_HOST,
    port,
    timeoutMs: DIAL_TIMEOUT_MS,
    open: (address, at) => openSocket(address, at, {allowHalfOpen: true}),
  });
}
