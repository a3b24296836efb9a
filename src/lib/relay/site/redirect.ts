// The relay's plain HTTP port redirects every request to the same address over https.

import {createServer, type Server} from 'node:net';
import {isHost, publicUrl} from '../../protocol/targets.js';
import {OneRequest} from '../doors/one-request.js';
import type {PendingConnections} from '../doors/pending.js';

/** From the accept to the end of the answer, ms. */
const CONNECTION_TIMEOUT_MS = 10_000;

export interface RedirectOptions {
  domain: string;
  publicPort: () => number;
  pending: PendingConnections;
}

export function createRedirect({domain, publicPort, pending}: RedirectOptions): Server {
  const requests = new OneRequest({
    onRequest: (req, res) => {
      const asked = (req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
      // Only names of this relay are redirected: otherwise anybody could use the redirect for another site.
      const known = isHost(asked) && asked.endsWith(`.${domain}`) ? asked : domain;
      const path = req.url?.startsWith('/') ? req.url : '/';
      res.writeHead(308, {Location: publicUrl(known, publicPort()) + path, 'Content-Length': 0});
      res.end();
    },
  });
  return createServer({noDelay: true}, (socket) => {
    if (pending.admit(socket, CONNECTION_TIMEOUT_MS) !== undefined) requests.accept(socket);
  });
}
