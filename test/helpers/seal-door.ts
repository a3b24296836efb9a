// A door of a gatekeeper without the namespace and the redirect before it.

import {connect, createServer, type Socket} from 'node:net';
import {type Destination, doorOf} from '../../src/lib/seal/doorway.js';
import type {Gatekeeper} from '../../src/lib/seal/gatekeeper.js';
import {PORTS_OF_DOOR} from '../../src/lib/seal/ports.js';
import type {Scope} from './scope.js';

/** Connects as a program that has dialled this destination would. */
export async function dialAsProgram(
  scope: Scope,
  keeper: Gatekeeper,
  {address, port}: Destination,
): Promise<Socket> {
  const low = port % PORTS_OF_DOOR;
  const door = createServer({allowHalfOpen: true, pauseOnConnect: true});
  door.on('connection', (socket: Socket) =>
    Object.defineProperties(socket, {
      localAddress: {value: address},
      localPort: {value: doorOf(port)},
      remoteAddress: {value: `100.64.${low >> 8}.${low & 255}`},
    }),
  );
  keeper.addDoor(door);
  const program = connect({port: await scope.listen(door), host: '127.0.0.1', allowHalfOpen: true});
  program.on('error', () => {});
  scope.onEnd(() => void program.destroy());
  return program;
}
