// bore: a TCP port for each agent, without encryption and without a multiplexer (a connection for each visitor).

import {randomBytes, randomInt} from 'node:crypto';
import type {Scope} from '../../test/helpers/scope.js';
import {accepting} from '../machine/ports.js';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import {type Peer, type Route, startTimeoutMs, tcpRoutes} from './peer.js';

/** The fixed port of its relay. */
const RELAY_PORT = 7835;

export const bore: Peer = {
  name: 'bore',
  about: 'bore, without encryption',
  needs: ['bore'],
  async start(scope, {tools, upstream}) {
    // Its port is fixed, so each relay has a loopback address of its own.
    const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`;
    const env = {BORE_SECRET: randomBytes(16).toString('hex')};
    const relay = start(scope, tools.path('bore'), ['server', '--bind-addr', address], {env});
    await accepting(RELAY_PORT, {host: address});
    const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
    const expose = async (owner: Scope, port: number): Promise<Route> => {
      const words = ['local', String(port), '--local-host', '127.0.0.1', '--to', address];
      const agent = start(owner, tools.path('bore'), words, {env});
      const line = await within(
        startTimeoutMs,
        'port from bore',
        agent.line((text) => text.includes('listening at')),
      );
      const publicPort = Number(/listening at \S*:(\d+)/.exec(line)?.[1]);
      return {
        ...{scheme: 'tcp', host: address, address, port: publicPort},
        relayPid: relay.pid,
        agentPid: agent.pid,
      };
    };
    return {relayBeforeMb, ...(await tcpRoutes(scope, upstream, expose))};
  },
};
