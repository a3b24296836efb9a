// Carries one accepted connection of this machine over a stream of an egress.

import type {Socket} from 'node:net';
import {readOn} from '../bytes/reading.js';
import {resetSocket} from '../bytes/reset.js';
import {Splice, type SpliceOptions} from '../bytes/splice.js';
import {type TunlError, toTunlError} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import type {HostPort} from '../protocol/targets.js';
import type {StreamCode} from '../protocol/wire.js';
import {type EgressClient, egressRefusal} from './client.js';

export interface Carriage {
  readonly client: EgressClient;
  readonly to: HostPort;
  /**
   * The destination has answered, and none of its bytes is in the socket yet: a proxy answers its client now. Without this
   * function the bytes of the socket go out at once, and the socket is reset when the destination is not reached.
   */
  readonly onConnected?: () => void;
  /** The destination is not reached. With `onConnected` the socket is still open, and its owner answers. */
  readonly onFailed: (error: TunlError) => void;
}

type OnAnswer = (refusal?: {code: StreamCode; message: string | undefined}) => void;

/** A splice whose stream may be refused. */
class EgressSplice extends Splice {
  readonly #onAnswer: OnAnswer;

  constructor(options: SpliceOptions, onAnswer: OnAnswer) {
    super(options);
    this.#onAnswer = onAnswer;
  }

  onOpened(): void {
    this.#onAnswer();
  }

  override onReset(code: StreamCode, message?: string): void {
    this.#onAnswer({code, message});
    super.onReset(code);
  }
}

/**
 * The socket must allow half-open connections, and must not flow. It is one that has ended when this promise resolves, unless
 * `onFailed` was called.
 *
 * @param held gets a function that resets everything at once.
 */
export async function carry(socket: Socket, about: Carriage, held: (cut: () => void) => void): Promise<void> {
  const {client, to, onConnected, onFailed} = about;
  const over = Promise.withResolvers<void>();
  let splice: EgressSplice | undefined;
  let isAnswered = false;
  const cut = (code: StreamCode) => {
    isAnswered = true;
    if (splice !== undefined) splice.cut(code);
    over.resolve();
  };
  const gone = () => cut('VISITOR_RESET');
  const join = () => {
    socket.off('close', gone);
    splice?.join(socket);
    if (splice?.hasBegun) readOn(socket);
  };
  const answered: OnAnswer = (refusal) => {
    if (isAnswered) return;
    isAnswered = true;
    if (refusal !== undefined) onFailed(egressRefusal(refusal.code, refusal.message, to));
    else if (onConnected !== undefined) {
      onConnected();
      join();
    }
  };
  const begin = (stream: Stream) => {
    if (isAnswered || socket.destroyed) {
      stream.reset('VISITOR_RESET');
      over.resolve();
      return;
    }
    const options = {stream, brokenCode: 'VISITOR_RESET', reset: () => resetSocket(socket)} as const;
    splice = new EgressSplice({...options, onDone: () => over.resolve()}, answered);
    if (onConnected === undefined) join();
  };
  held(() => {
    cut('CANCELLED');
    resetSocket(socket);
  });
  socket.on('close', gone);
  try {
    await client.open(to, {onOpen: begin});
    await over.promise;
  } catch (error) {
    if (!isAnswered) onFailed(toTunlError(error));
    if (onConnected === undefined) resetSocket(socket);
  } finally {
    socket.off('close', gone);
  }
}
