// frp: a TCP port, and HTTPS in two ways. Its agent terminates it (https2http), or an nginx does in front of its port for HTTP.

import {randomBytes} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Child} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';
import type {Certificate} from '../machine/certificates.js';
import {startNginx} from '../machine/nginx.js';
import {accepting, freePorts} from '../machine/ports.js';
import {memoryMbOf, type Pids} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import {loopback, type Peer, type Route, type RunningPeer, startTimeoutMs} from './peer.js';

/** With its defaults: a TLS carrier and multiplexing. */
export const frp = peer('frp', 'frp; HTTPS by its plugin https2http', '');

export const frpQuic = peer('frp-quic', 'frp with QUIC as carrier', 'transport.protocol = "quic"\n');

export const frpBehindNginx: Peer = {
  name: 'frp+nginx',
  about: "HTTPS by nginx in front of frp's port for HTTP",
  needs: ['frps', 'frpc'],
  async start(scope, {tools, upstream}) {
    const {certificate, services, port, sinkPort} = upstream;
    const {host} = certificate;
    const relay = await startRelay(scope, tools);
    const uploadHost = `upload.${host}`;
    const agent = await startAgent(scope, tools, relay, '', [
      httpProxy('http', host, port),
      httpProxy('upload', uploadHost, sinkPort),
    ]);
    const [publicPort] = (await freePorts(1)) as [number];
    const nginx = await startNginx(scope, tools, {
      http: terminating(certificate, publicPort, relay.httpPort),
    });
    const route = (name: string): Route => ({
      ...{scheme: 'https', host: name, port: publicPort},
      relayPid: [relay.pid, nginx.pid],
      agentPid: agent.pid,
    });
    return {
      relayBeforeMb: relay.beforeMb,
      https: route(host),
      ...(services.uploadTls && {uploadTls: route(uploadHost)}),
    };
  },
};

function peer(name: string, about: string, transport: string): Peer {
  return {
    name,
    about,
    needs: ['frps', 'frpc'],
    async start(scope, {tools, upstream}): Promise<RunningPeer> {
      const relay = await startRelay(scope, tools);
      const {uploadTls, echo, grpc} = upstream.services;
      const [tcpPort, uploadPort, echoPort] = (await freePorts(3)) as [number, number, number];
      const {host} = upstream.certificate;
      const [uploadHost, grpcHost] = [`upload.${host}`, `grpc.${host}`];
      const agent = await startAgent(scope, tools, relay, transport, [
        tcpProxy('tcp', upstream.port, tcpPort),
        tcpProxy('upload', upstream.sinkPort, uploadPort),
        httpsProxy('https', host, upstream.port, upstream.certificate),
        ...(uploadTls ? [httpsProxy('upload-tls', uploadHost, uploadTls.port, upstream.certificate)] : []),
        ...(echo ? [tcpProxy('echo', echo.port, echoPort)] : []),
        // Its plugin speaks no HTTP/2: the service itself terminates TLS.
        ...(grpc ? [passedThrough('grpc', grpcHost, grpc.tlsPort)] : []),
      ]);
      const pids = {relayPid: relay.pid as Pids, agentPid: agent.pid as Pids};
      const tcp = (port: number): Route => ({scheme: 'tcp', host: loopback, port, ...pids});
      const https = (name: string): Route => ({
        scheme: 'https',
        host: name,
        port: relay.httpsPort,
        ...pids,
      });
      return {
        relayBeforeMb: relay.beforeMb,
        tcp: tcp(tcpPort),
        https: https(host),
        upload: tcp(uploadPort),
        ...(uploadTls && {uploadTls: https(uploadHost)}),
        ...(echo && {echo: tcp(echoPort)}),
        ...(grpc && {grpc: https(grpcHost)}),
        timeAgent: async (owner) => {
          const [port] = (await freePorts(1)) as [number];
          const config = tcpProxy(`timed-${port}`, upstream.port, port);
          const began = performance.now();
          await startAgent(owner, tools, relay, transport, [config]);
          return performance.now() - began;
        },
      };
    },
  };
}

interface FrpRelay {
  pid: number;
  port: number;
  httpPort: number;
  httpsPort: number;
  token: string;
  beforeMb: number;
}

async function startRelay(scope: Scope, tools: Tools): Promise<FrpRelay> {
  const folder = await scope.tempDir('bench-frps');
  const [port, httpPort, httpsPort] = (await freePorts(3)) as [number, number, number];
  const token = randomBytes(16).toString('hex');
  const config = join(folder, 'frps.toml');
  writeFileSync(
    config,
    `bindAddr = "${loopback}"\nproxyBindAddr = "${loopback}"\nbindPort = ${port}\nquicBindPort = ${port}\n` +
      `vhostHTTPPort = ${httpPort}\nvhostHTTPSPort = ${httpsPort}\nlog.level = "warn"\nauth.token = "${token}"\n`,
    {mode: 0o600},
  );
  const relay = start(scope, tools.path('frps'), ['-c', config]);
  await accepting(port);
  return {pid: relay.pid, port, httpPort, httpsPort, token, beforeMb: memoryMbOf(relay.pid, 'VmRSS')};
}

async function startAgent(
  scope: Scope,
  tools: Tools,
  relay: FrpRelay,
  transport: string,
  proxies: readonly string[],
): Promise<Child> {
  const config = join(await scope.tempDir('bench-frpc'), 'frpc.toml');
  writeFileSync(
    config,
    `serverAddr = "${loopback}"\nserverPort = ${relay.port}\nlog.level = "info"\nauth.token = "${relay.token}"\n` +
      transport +
      proxies.join(''),
    {mode: 0o600},
  );
  const agent = start(scope, tools.path('frpc'), ['-c', config]);
  const up = new RegExp(`(?:start proxy success[^]*){${proxies.length}}`);
  // It logs to stdout.
  await within(startTimeoutMs, 'start of frpc', said(agent, up));
  return agent;
}

async function said(agent: Child, pattern: RegExp): Promise<void> {
  await agent.line(() => pattern.test(agent.stdout));
}

function tcpProxy(name: string, port: number, publicPort: number): string {
  return `${proxy(name, 'tcp', port)}remotePort = ${publicPort}\n`;
}

function httpProxy(name: string, host: string, port: number): string {
  return `${proxy(name, 'http', port)}customDomains = ["${host}"]\n`;
}

/** TLS arrives at the service itself. */
function passedThrough(name: string, host: string, port: number): string {
  return `${proxy(name, 'https', port)}customDomains = ["${host}"]\n`;
}

function proxy(name: string, type: string, port: number): string {
  return `[[proxies]]\nname = "${name}"\ntype = "${type}"\nlocalIP = "${loopback}"\nlocalPort = ${port}\n`;
}

function httpsProxy(name: string, host: string, port: number, {certFile, keyFile}: Certificate): string {
  return (
    `[[proxies]]\nname = "${name}"\ntype = "https"\ncustomDomains = ["${host}"]\n[proxies.plugin]\ntype = "https2http"\n` +
    `localAddr = "${loopback}:${port}"\ncrtPath = "${certFile}"\nkeyPath = "${keyFile}"\n`
  );
}

/** As an operator would write it who wants speed: kept connections, and uploads that are not gathered first. */
function terminating({certFile, keyFile}: Certificate, publicPort: number, port: number): string {
  return `upstream frp { server ${loopback}:${port}; keepalive 512; }
  server {
    listen ${loopback}:${publicPort} ssl backlog=4096;
    ssl_certificate ${certFile};
    ssl_certificate_key ${keyFile};
    client_max_body_size 0;
    location / {
      proxy_pass http://frp;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
    }
  }`;
}
