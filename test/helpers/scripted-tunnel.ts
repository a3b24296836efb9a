// A tunnel of an agent at a scripted relay: no probes, no gates, and its upstream is a port of this machine.

import {Successors} from '../../src/lib/agent/successors.js';
import type {LocalTunnel} from '../../src/lib/agent/tunnel.js';
import {TunnelAgent} from '../../src/lib/agent/tunnel-agent.js';
import type {TunnelSettings} from '../../src/lib/agent/tunnel-settings.js';
import {TcpUpstream} from '../../src/lib/agent/upstreams/tcp.js';
import type {Scope} from './scope.js';
import type {ScriptedRelay} from './scripted-relay.js';

export async function scriptedTunnel(
  scope: Scope,
  relay: ScriptedRelay,
  port: number,
  settings: Partial<TunnelSettings> = {},
): Promise<LocalTunnel> {
  const agent = new TunnelAgent({
    relay: {url: 'https://r1.test', embedded: false},
    software: 'test',
    dial: relay.dial,
    dialPublic: () => Promise.reject(new Error('not dialled')),
    successors: new Successors({home: 'https://r1.test', allowed: []}),
    identify: undefined,
    wait: false,
    maxRetryTimeMs: undefined,
    keepForReplay: true,
  });
  const tunnel = await agent.addTunnel({
    upstream: new TcpUpstream({host: '127.0.0.1', port}),
    ...{explainHostChecks: false, watchUpstream: 'when refused', waitUpstreamMs: 0, offlinePage: false},
    ...{proxyHeader: undefined, gates: undefined, probe: false, unencrypted: false, h2: false, http1: false},
    ...{subdomain: undefined, remembered: Promise.resolve({}), remotePort: undefined, cidr: undefined},
    ...{openLocal: undefined, drainTimeoutMs: 0, signal: undefined, onEvent: () => {}, log: undefined},
    cleanUp: async () => {},
    ...settings,
  });
  scope.onEnd(async () => {
    tunnel.destroy();
    await tunnel.closed.catch(() => {});
  });
  return tunnel;
}
