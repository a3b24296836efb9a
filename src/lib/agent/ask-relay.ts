// Reads the answer of a service of the relay: one line of JSON.

import {TunlError} from '../core/errors.js';
import type {Stream, StreamSink} from '../mux/stream.js';

/** An answer that is longer is none. */
const MOST_BYTES = 16 * 1024;

/** @returns the sink for the stream, to set in the turn in which it is opened, and the answer. */
export function answerOf(stream: Stream, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    const fail = (reason: string) => reject(new TunlError('RELAY_LOST', {reason}));
    const sink: StreamSink = {
      onData: (piece) => {
        stream.consumed(piece.length);
        bytes += piece.length;
        if (bytes <= MOST_BYTES) pieces.push(piece);
        else stream.reset('CANCELLED');
      },
      onEnd: () => {
        stream.end();
        if (bytes <= MOST_BYTES) resolve(Buffer.concat(pieces));
        else fail('The relay’s answer is too long.');
      },
      onWritable: () => {},
      onReset: (code, message) => fail(message ?? `The relay gave no answer (${code}).`),
    };
    stream.sink = sink;
    const abort = () => {
      stream.reset('CANCELLED');
      reject(new TunlError('ABORTED'));
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, {once: true});
  });
}
