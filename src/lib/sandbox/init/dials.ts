// Connections to the ports of programs in the sandbox.

import {connect, type Socket} from 'node:net';
import {systemCode} from '../../core/errors.js';

const ADDRESSES = ['127.0.0.1', '::1'] as const;

/** The first address that answers. @throws the error of the first address, or the abort's reason. */
export async function dialInside(port: number, signal: AbortSignal): Promise<Socket> {
  let first: unknown;
  for (const host of ADDRESSES) {
    try {
      return await dial(host, port, signal);
    } catch (error) {
      signal.throwIfAborted();
      // Without IPv6 the second error would say nothing about the service.
      first ??= error;
      if (systemCode(error) !== 'ECONNREFUSED') break;
    }
  }
  throw first;
}

function dial(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({host, port, noDelay: true, allowHalfOpen: true});
    const settle = () => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
    };
    const onAbort = () => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, {once: true});
    socket.once('connect', () => {
      settle();
      resolve(socket);
    });
    socket.once('error', (error) => {
      settle();
      socket.on('error', () => {});
      reject(error);
    });
  });
}
