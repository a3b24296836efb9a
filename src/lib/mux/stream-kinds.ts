// Chooses the handler for a stream that the peer opened, by its kind, before the JSON of the OPEN is read.

import {MalformedMessage} from '../protocol/fields.js';
import type {StreamKind} from '../protocol/wire.js';
import type {Stream} from './stream.js';

/**
 * Takes a stream that the peer opened: sets its sink, then accepts or refuses it, now or later. `about` is the OPEN's JSON,
 * `opener` is this side's knowledge about the peer.
 * @throws MalformedMessage when `about` does not have the form of its kind.
 */
export type StreamHandler<Opener = void> = (stream: Stream, about: Buffer, opener: Opener) => void;

/** A kind without a handler is refused. */
export type StreamHandlers<Opener = void> = {readonly [kind in StreamKind]?: StreamHandler<Opener>};

export function offerStream<Opener>(
  handlers: StreamHandlers<Opener>,
  stream: Stream,
  about: Buffer,
  opener: Opener,
): void {
  const take = handlers[stream.kind];
  if (take === undefined) {
    stream.refuse('KIND_UNKNOWN');
    return;
  }
  try {
    take(stream, about, opener);
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    stream.refuse('CANCELLED', error.message);
  }
}
