// Reads the answer of a service of the relay: one line of JSON.

import {TunlError} from '../core/errors.js';
import type {Stream, StreamSink} from '../mux/stream.js';
import type {StreamCode} from '../protocol/wire.js';

/** An answer that is longer is none. */
const MOST_BYTES = 16 * 1024;

export interface AnswerOptions {
  signal: AbortSignal;
  /** Default 16 KiB. */
  mostBytes?: number;
  /** The error for a refusal or a reset. Default: RELAY_LOST. */
  toError?: (code: StreamCode, message: string | undefined) => TunlError;
}

/** @returns the answer. Sets the sink of the stream, so it must be called in the turn in which the stream is opened. */
export function answerOf(stream: Stream, options: AnswerOptions): Promise<Buffer> {
  const {signal, mostBytes = MOST_BYTES, toError = noAnswer} = options;
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    const settle = (error: TunlError | undefined) => {
      signal.removeEventListener('abort', abort);
      if (error === undefined) resolve(Buffer.concat(pieces));
      else reject(error);
    };
    const sink: StreamSink = {
      onData: (piece) => {
        stream.consumed(piece.length);
        bytes += piece.length;
        if (bytes <= mostBytes) pieces.push(piece);
        else {
          stream.reset('CANCELLED');
          settle(new TunlError('RELAY_LOST', {reason: 'The relay’s answer is too long.'}));
        }
      },
      onEnd: () => {
        stream.end();
        settle(undefined);
      },
      onWritable: () => {},
      onReset: (code, message) => settle(toError(code, message)),
    };
    stream.sink = sink;
    const abort = () => {
      stream.reset('CANCELLED');
      settle(new TunlError('ABORTED'));
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, {once: true});
  });
}

function noAnswer(code: StreamCode, message: string | undefined): TunlError {
  return new TunlError('RELAY_LOST', {reason: message ?? `The relay gave no answer (${code}).`});
}
