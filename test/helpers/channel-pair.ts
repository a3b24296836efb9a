// Two ends of a channel between processes, in one process: messages arrive as JSON in a later turn, in order.
import {EventEmitter} from 'node:events';
import type {Socket} from 'node:net';
import type {Channel} from '../../src/lib/relay/workers/talk.js';

class End extends EventEmitter {
  connected = true;
  other: End | undefined;

  send(
    message: object,
    socket: Socket | undefined,
    _options: object,
    done: (error: Error | null) => void,
  ): void {
    const text = JSON.stringify(message);
    setImmediate(() => {
      done(this.connected ? null : new Error('closed'));
      if (this.connected) this.other?.emit('message', JSON.parse(text), socket);
    });
  }
}

export function channelPair(): {one: Channel; other: Channel; cut: () => void} {
  const [one, other] = [new End(), new End()];
  one.other = other;
  other.other = one;
  const cut = () => {
    for (const end of [one, other]) {
      end.connected = false;
      end.emit('disconnect');
    }
  };
  return {one: one as unknown as Channel, other: other as unknown as Channel, cut};
}
