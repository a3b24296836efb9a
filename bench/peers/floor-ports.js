// Loaded before the prototype's relay, which listens on fixed ports: each becomes a free port, and a line says which.
import {Server} from 'node:net';

const {listen} = Server.prototype;
Server.prototype.listen = function (fixed, ...rest) {
  this.once('listening', () => console.log(JSON.stringify({fixed, port: this.address().port})));
  return listen.call(this, 0, ...rest);
};
