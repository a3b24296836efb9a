// Releases the objects that a closed socket refers to.
//
// V8 allocates a function literal in its old generation when it is assigned to a property, and each Writable of Node has one
// (`onwrite`), which refers to its stream. So a closed socket is kept until the next full collection, with everything that
// its listeners refer to, and each collection of the young generation copies that.

import {Socket} from 'node:net';

const ignore = (): void => {};

/** The methods that a splice replaces on its socket. */
type Writing = Pick<Socket, '_write' | '_writev'>;
const {_write, _writev} = Socket.prototype as Required<Writing>;

/** A listener of `close`: removes the socket's listeners and own methods. It is still safe to destroy the socket again. */
export function letGo(this: Socket): void {
  this.removeAllListeners();
  this.on('error', ignore);
  if (!Object.hasOwn(this, '_write')) return;
  this._write = _write;
  this._writev = _writev;
}
