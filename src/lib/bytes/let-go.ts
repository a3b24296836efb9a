// Releases the objects that a closed socket refers to.
//
// V8 allocates a function literal in its old generation when it is assigned to a property, and each Writable of Node has one
// (`onwrite`), which refers to its stream. So a closed socket is kept until the next full collection, with everything that
// its listeners refer to, and each collection of the young generation copies that.

import {EventEmitter} from 'node:events';
import type {Socket} from 'node:net';
import {forgetReader} from '../net/own-buffers.js';

const ignore = (): void => {};

/** For a socket that is closed: removes its listeners. The socket may be destroyed again later. */
export function letGo(socket: Socket): void {
  // Without what Node's streams do when listeners change: a closed socket is not read again.
  EventEmitter.prototype.removeAllListeners.call(socket);
  EventEmitter.prototype.on.call(socket, 'error', ignore);
  forgetReader(socket);
}
