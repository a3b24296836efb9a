// A stream that the relay refused or reset, as an error for users. It keeps the code of the stream, so that code that speaks
// another protocol to its own clients can choose the exact answer.

import {type ErrorCode, errorForPeer, type TunlError} from '../core/errors.js';
import type {StreamCode} from '../protocol/wire.js';

/** The cause of the TunlError, or the error of an open stream. */
export class StreamRefusal extends Error {
  override readonly name = 'StreamRefusal';
  /** As that of a socket. */
  readonly code = 'ECONNRESET';
  readonly streamCode: StreamCode;
  /** Whether the message is the relay's. */
  readonly isTold: boolean;

  constructor(streamCode: StreamCode, message: string | undefined) {
    super(message ?? `the stream was reset: ${streamCode}`);
    this.streamCode = streamCode;
    this.isTold = message !== undefined;
  }
}

/** Undefined: the error is not about a stream. */
export function streamCodeOf(error: unknown): StreamCode | undefined {
  if (error instanceof StreamRefusal) return error.streamCode;
  return error instanceof Error && error.cause instanceof StreamRefusal ? error.cause.streamCode : undefined;
}

/** The codes of streams that mean the same as an error, whatever the kind of the stream is. */
const ERROR_OF: {readonly [code in StreamCode]?: ErrorCode} = {
  NOT_ALLOWED: 'NOT_ALLOWED',
  KIND_UNKNOWN: 'RELAY_LACKS_FEATURE',
  SERVICE_UNKNOWN: 'RELAY_LACKS_FEATURE',
  TOO_MANY_STREAMS: 'RELAY_BUSY',
  TOO_MUCH_UNREAD: 'RELAY_BUSY',
  DRAINING: 'RELAY_LEAVING',
  UPSTREAM_REFUSED: 'UPSTREAM_REFUSED',
};

export function refusedStream(code: StreamCode, message: string | undefined): TunlError {
  const cause = new StreamRefusal(code, message);
  const own = ERROR_OF[code];
  if (own !== undefined) return errorForPeer(own, message === undefined ? {cause} : {reason: message, cause});
  return errorForPeer('RELAY_LOST', {
    reason: message ?? `The relay did not take the stream (${code}).`,
    cause,
  });
}
