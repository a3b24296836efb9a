// Counts the unread bytes of a stream, also those that its sink keeps when the stream is over already.

import type {Stream} from '../mux/stream.js';
import type {UnreadLimit} from './unread-limit.js';

/** Returns the function to call when the stream has gone. */
export function watchStream(
  unread: Pick<UnreadLimit, 'add' | 'delete' | 'leave'>,
  stream: Stream,
): () => void {
  const watched = unread.add({
    stream,
    cut: () => {
      stream.reset('TOO_MUCH_UNREAD');
      stream.sink.onReset('TOO_MUCH_UNREAD');
    },
  });
  return () => {
    if (stream.unreadBytes > 0) unread.leave(watched, () => stream.sink.keepsBytes === true);
    else unread.delete(watched);
  };
}
