// chisel with its defaults: SSH inside a WebSocket. It reconnects by itself.

import {randomBytes} from 'node:crypto';
import {start, within} from '../../machine/programs.js';
import {startTimeoutMs} from '../../peers/peer.js';
import {type FaultPeer, RELAY_NAME} from './peer.js';

const PORT = 8080;
const PUBLIC_PORT = 9000;

export const chisel: FaultPeer = {
  name: 'chisel',
  over: 'tcp',
  needs: ['chisel'],
  version: (tools) => tools.version('chisel', '--version')?.replace(/^v/, ''),
  async start({scope, tools, path, upstreamPort}) {
    const program = tools.path('chisel');
    const env = {AUTH: `bench:${randomBytes(16).toString('hex')}`};
    const server = ['server', '--host', '0.0.0.0', '--port', String(PORT), '--reverse'];
    const relay = start(scope, program, server, {env, namespace: path.near.namespace});
    await within(startTimeoutMs, 'start of chisel', relay.saidOnStderr(/Listening on/));
    const client = [
      'client',
      `http://${RELAY_NAME}:${PORT}`,
      `R:0.0.0.0:${PUBLIC_PORT}:127.0.0.1:${upstreamPort}`,
    ];
    const agent = start(scope, program, client, {env, namespace: path.far.namespace});
    await within(startTimeoutMs, 'connection of chisel', agent.saidOnStderr(/Connected/));
    return {host: path.near.address, port: PUBLIC_PORT};
  },
};
