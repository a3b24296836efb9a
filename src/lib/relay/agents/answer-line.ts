// The answer of a service: one line of JSON, and then the end of the stream.

import type {Stream} from '../../mux/stream.js';
import {encodeLine} from '../../protocol/lines.js';

/** Accepts the stream now, and answers when the value is there. The promise must not reject. What the agent sends is ignored. */
export function answerLine(stream: Stream, value: object | Promise<object>): void {
  stream.sink = {
    onData: (piece) => stream.consumed(piece.length),
    onEnd: () => {},
    onWritable: () => {},
    onReset: () => {},
  };
  stream.accept();
  const send = (line: object) => {
    stream.write(encodeLine(line));
    stream.end();
  };
  if (value instanceof Promise) void value.then(send);
  else send(value);
}
