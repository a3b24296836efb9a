// The relay's plain HTTP port: sends everybody to the same place over https.

import {createServer, type Server} from 'node:net';
import {type Clock, systemClock} from '../core/clock.js';
import {isHost, publicUrl} from '../protocol/targets.js';
import {OneRequest} from './doors/one-request.js';

/** From the accept to the end of the answer, ms. */
const CONNECTION_TIMEOUT_MS = 10_000;

export interface Redirect {
  server: Server;
  /** Ends all connections. */
  closeAll: () => void;
}

export function createRedirect(
  domain: string,
  publicPort: () => number,
  clock: Clock = systemClock,
): Redirect {
  const requests = new OneRequest({
    onRequest: (req, res) => {
      const asked = (req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
      // Only names of this relay: a redirect to whatever Host says would be anybody's.
      const known = isHost(asked) && asked.endsWith(`.${domain}`) ? asked : domain;
      const path = req.url?.startsWith('/') ? req.url : '/';
      res.writeHead(308, {Location: publicUrl(known, publicPort()) + path, 'Content-Length': 0});
      res.end();
    },
  });
  const server = createServer({noDelay: true}, (socket) => {
    const timer = clock.after(CONNECTION_TIMEOUT_MS, () => socket.destroy());
    socket.once('close', () => timer.cancel());
    requests.accept(socket);
  });
  return {server, closeAll: () => requests.closeAll()};
}
