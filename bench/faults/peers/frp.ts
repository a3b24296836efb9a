// frp with its defaults, over TCP and over QUIC.

import {randomBytes} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {start, within} from '../../machine/programs.js';
import {startTimeoutMs} from '../../peers/peer.js';
import {type FaultPeer, type FaultPlace, RELAY_NAME} from './peer.js';

const PORT = 7000;
const PUBLIC_PORT = 9000;

export const frpTcp = frp('frp-tcp', 'tcp', '');
export const frpQuic = frp('frp-quic', 'udp', 'transport.protocol = "quic"\n');

function frp(name: string, over: FaultPeer['over'], transport: string): FaultPeer {
  return {
    name,
    over,
    needs: ['frps', 'frpc'],
    version: (tools) => tools.version('frps', '--version'),
    async start({scope, tools, path, upstreamPort}: FaultPlace) {
      const folder = await scope.tempDir('bench-frp');
      const config = (file: string, text: string) => {
        writeFileSync(join(folder, file), text, {mode: 0o600});
        return join(folder, file);
      };
      const token = `auth.token = "${randomBytes(16).toString('hex')}"\n`;
      const relayConfig = config('frps.toml', `bindPort = ${PORT}\nquicBindPort = ${PORT}\n${token}`);
      const relay = start(scope, tools.path('frps'), ['-c', relayConfig], {namespace: path.near.namespace});
      await within(
        startTimeoutMs,
        'start of frps',
        relay.line((line) => line.includes('started successfully')),
      );
      const agentConfig = config(
        'frpc.toml',
        `serverAddr = "${RELAY_NAME}"\nserverPort = ${PORT}\n${transport}${token}[[proxies]]\nname = "tcp"\n` +
          `type = "tcp"\nlocalIP = "127.0.0.1"\nlocalPort = ${upstreamPort}\nremotePort = ${PUBLIC_PORT}\n`,
      );
      const agent = start(scope, tools.path('frpc'), ['-c', agentConfig], {namespace: path.far.namespace});
      await within(
        startTimeoutMs,
        'start of frpc',
        agent.line((line) => line.includes('start proxy success')),
      );
      return {host: path.near.address, port: PUBLIC_PORT};
    },
  };
}
