// frp with its defaults (TLS carrier, multiplexing): a TCP port, and HTTPS that its agent terminates (https2http).

import {randomBytes} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Child} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';
import {accepting, freePorts} from '../machine/ports.js';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import {loopback, type Peer, startTimeoutMs} from './peer.js';

export const frp: Peer = {
  name: 'frp',
  about: 'frp; HTTPS by its plugin https2http',
  needs: ['frps', 'frpc'],
  async start(scope, {tools, upstream}) {
    const relay = await startRelay(scope, tools);
    const [tcpPort, uploadPort] = (await freePorts(2)) as [number, number];
    const {host, certFile, keyFile} = upstream.certificate;
    const agent = await startAgent(scope, tools, relay, [
      tcpProxy('tcp', upstream.port, tcpPort),
      tcpProxy('upload', upstream.sinkPort, uploadPort),
      `[[proxies]]\nname = "https"\ntype = "https"\ncustomDomains = ["${host}"]\n[proxies.plugin]\ntype = "https2http"\n` +
        `localAddr = "${loopback}:${upstream.port}"\ncrtPath = "${certFile}"\nkeyPath = "${keyFile}"\n`,
    ]);
    const pids = {relayPid: relay.pid, agentPid: agent.pid};
    return {
      relayBeforeMb: relay.beforeMb,
      tcp: {scheme: 'tcp', host: loopback, port: tcpPort, ...pids},
      https: {scheme: 'https', host, port: relay.httpsPort, ...pids},
      upload: {scheme: 'tcp', host: loopback, port: uploadPort, ...pids},
      timeAgent: async (owner) => {
        const [port] = (await freePorts(1)) as [number];
        const config = tcpProxy(`timed-${port}`, upstream.port, port);
        const began = performance.now();
        await startAgent(owner, tools, relay, [config]);
        return performance.now() - began;
      },
    };
  },
};

interface FrpRelay {
  pid: number;
  port: number;
  httpsPort: number;
  token: string;
  beforeMb: number;
}

async function startRelay(scope: Scope, tools: Tools): Promise<FrpRelay> {
  const folder = await scope.tempDir('bench-frps');
  const [port, httpsPort] = (await freePorts(2)) as [number, number];
  const token = randomBytes(16).toString('hex');
  const config = join(folder, 'frps.toml');
  writeFileSync(
    config,
    `bindAddr = "${loopback}"\nproxyBindAddr = "${loopback}"\nbindPort = ${port}\n` +
      `vhostHTTPSPort = ${httpsPort}\nlog.level = "warn"\nauth.token = "${token}"\n`,
    {mode: 0o600},
  );
  const relay = start(scope, tools.path('frps'), ['-c', config]);
  await accepting(port);
  return {pid: relay.pid, port, httpsPort, token, beforeMb: memoryMbOf(relay.pid, 'VmRSS')};
}

async function startAgent(
  scope: Scope,
  tools: Tools,
  relay: FrpRelay,
  proxies: readonly string[],
): Promise<Child> {
  const config = join(await scope.tempDir('bench-frpc'), 'frpc.toml');
  writeFileSync(
    config,
    `serverAddr = "${loopback}"\nserverPort = ${relay.port}\nlog.level = "info"\nauth.token = "${relay.token}"\n` +
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
  return (
    `[[proxies]]\nname = "${name}"\ntype = "tcp"\nlocalIP = "${loopback}"\nlocalPort = ${port}\n` +
    `remotePort = ${publicPort}\n`
  );
}
