// The relay's plain HTTP port: sends everybody to the same place over https.

import type {Server} from 'node:http';
import {createServer} from '../core/node-http.js';
import {isHost, publicUrl} from '../protocol/targets.js';

export function createRedirect(domain: string, publicPort: () => number): Server {
  // Node looks every half a minute, unless told otherwise, whether somebody is past a limit.
  const limits = {headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000};
  return createServer(limits, (req, res) => {
    const asked = (req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    // Only names of this relay: a redirect to whatever Host says would be anybody's.
    const known = isHost(asked) && asked.endsWith(`.${domain}`) ? asked : domain;
    const path = req.url?.startsWith('/') ? req.url : '/';
    res.writeHead(308, {Location: publicUrl(known, publicPort()) + path, 'Content-Length': 0});
    res.end();
    req.resume();
  });
}
