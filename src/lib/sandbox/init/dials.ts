// Connections to the ports of programs in the sandbox.

import {connect, type Socket} from 'node:net';
import type {SocketRead} from '../../bytes/socket-reads.js';
import {systemCode} from '../../core/errors.js';

const ADDRESSES = ['127.0.0.1', '::1'] as const;

/** The first address that answers. @throws the error of the first address, or the abort's reason. */
export async function dialInside(
  port: number,
  signal: AbortSignal,
  reader: () => SocketRead,
): Promise<Socket> {
  let first: unknown;
  for (const host of ADDRESSES) {
    try {
      return await dial({host, port, signal, read: reader()});
    } catch (error) {
      signal.throwIfAborted();
      // Without IPv6 the second error would say nothing about the service.
      first ??= error;
      if (systemCode(error) !== 'ECONNREFUSED') break;
    }
  }
  throw first;
}

interface Dial {
  host: string;
  port: number;
  signal: AbortSignal;
  read: SocketRead;
}

function dial({host, port, signal, read}: Dial): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const {buffer, callback} = read;
    const socket = connect({host, port, noDelay: true, allowHalfOpen: true, onread: {buffer, callback}});
    const release = () => read.release();
    socket.once('close', release);
    const settle = () => {
      signal.removeEventListener('abort', onAbort);
      socket.off('connect', onConnect);
      socket.off('error', onError);
    };
    const onAbort = () => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(signal.reason);
    };
    const onConnect = () => {
      settle();
      resolve(socket);
    };
    const onError = (error: Error) => {
      settle();
      socket.on('error', () => {});
      reject(error);
    };
    signal.addEventListener('abort', onAbort, {once: true});
    socket.once('connect', onConnect);
    socket.once('error', onError);
  });
}
