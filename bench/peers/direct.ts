// No tunnel: visitors connect to nginx itself.

import {loopback, type Peer, type Route} from './peer.js';

export const direct: Peer = {
  name: 'direct',
  about: 'no tunnel: nginx itself, plain and with TLS',
  needs: [],
  start: async (_scope, {upstream}) => {
    const {uploadTls, echo, grpc} = upstream.services;
    const tcp = (port: number): Route => ({scheme: 'tcp', host: loopback, port});
    const https = (port: number): Route => ({scheme: 'https', host: upstream.certificate.host, port});
    return {
      tcp: tcp(upstream.port),
      https: https(upstream.tlsPort),
      upload: tcp(upstream.sinkPort),
      ...(uploadTls && {uploadTls: https(uploadTls.tlsPort)}),
      ...(echo && {echo: tcp(echo.port)}),
      ...(grpc && {grpc: https(grpc.tlsPort)}),
    };
  },
};
