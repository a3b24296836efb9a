// Takes the first bytes of a connection, up to the end of a TLS ClientHello if they are one.

import type {Socket} from 'node:net';
import {type ClientHelloAnswer, ClientHelloReader} from '../bytes/client-hello.js';

export interface FirstBytes {
  /** A refusal: the bytes are no ClientHello. 'incomplete': the peer ended within one, or did not begin it. */
  readonly answer: ClientHelloAnswer | {readonly state: 'incomplete'};
  /** All bytes so far. They are not in the socket any more. */
  readonly bytes: Buffer;
}

export interface ReadHelloOptions {
  readonly timeoutMs?: number;
  /** Bytes that cannot be the beginning of TLS are not held back. */
  readonly passOthers?: boolean;
}

/** Every TLS connection begins with it. */
const RECORD_HANDSHAKE = 22;

/** Undefined: the connection ended without a byte, or the time is over. The socket is paused then, or at its end. */
export function readHello(
  socket: Socket,
  {timeoutMs, passOthers = false}: ReadHelloOptions,
): Promise<FirstBytes | undefined> {
  const reader = new ClientHelloReader();
  return new Promise((resolve) => {
    const finish = (result: FirstBytes | undefined) => {
      clearTimeout(timer);
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      socket.pause();
      resolve(result);
    };
    const onEnd = () =>
      finish(reader.length > 0 ? {answer: {state: 'incomplete'}, bytes: reader.bytes} : undefined);
    const onData = (piece: Buffer) => {
      if (passOthers && reader.length === 0 && piece[0] !== RECORD_HANDSHAKE) {
        finish({answer: {state: 'incomplete'}, bytes: piece});
        return;
      }
      const answer = reader.push(piece);
      if (answer.state !== 'need-more') finish({answer, bytes: reader.bytes});
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(finish, timeoutMs, undefined);
    socket.on('data', onData);
    socket.once('end', onEnd);
    socket.once('close', onEnd);
    socket.resume();
  });
}
