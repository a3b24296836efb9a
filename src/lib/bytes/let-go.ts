// Releases the objects that a closed socket refers to.
//
// V8 allocates a function literal in its old generation when it is assigned to a property, and each Writable of Node has one
// (`onwrite`), which refers to its stream. So a closed socket is kept until the next full collection, with everything that
// its listeners refer to, and each collection of the young generation copies that.

import type {Socket} from 'node:net';
import {forgetFailedWrites} from './failed-writes.js';

const ignore = (): void => {};

/** A listener of `close`: removes the socket's listeners and what a splice has added. The socket may be destroyed again later. */
export function letGo(this: Socket): void {
  this.removeAllListeners();
  this.on('error', ignore);
  forgetFailedWrites(this);
}
