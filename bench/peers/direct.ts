// No tunnel: visitors connect to nginx itself.

import {loopback, type Peer} from './peer.js';

export const direct: Peer = {
  name: 'direct',
  about: 'no tunnel: nginx itself, plain and with TLS',
  needs: [],
  start: async (_scope, {upstream}) => ({
    tcp: {scheme: 'tcp', host: loopback, port: upstream.port},
    https: {scheme: 'https', host: upstream.certificate.host, port: upstream.tlsPort},
    upload: {scheme: 'tcp', host: loopback, port: upstream.sinkPort},
  }),
};
