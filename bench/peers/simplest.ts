// The simplest tunnel that works under load (../simplest.js): tunl's own multiplexer and framing must be better than it.

import {fileURLToPath} from 'node:url';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import {loopback, type Peer, type Route, startTimeoutMs} from './peer.js';

const program = fileURLToPath(new URL('../simplest.js', import.meta.url));

export const simplest: Peer = {
  name: 'simplest',
  about: 'a hundred lines with ws: one WebSocket over TLS, sockets and messages spliced',
  needs: [],
  async start(scope, {upstream}) {
    const {certFile, keyFile, host} = upstream.certificate;
    const node = (...words: string[]) => start(scope, process.execPath, [program, ...words]);
    const relay = node('relay', certFile, keyFile);
    const relayPort = await within(startTimeoutMs, 'port of the simplest relay', relay.line());
    const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
    const expose = async (port: number): Promise<Route> => {
      const agent = node('agent', relayPort, host, certFile, String(port));
      const publicPort = await within(startTimeoutMs, 'port of the simplest agent', agent.line());
      return {
        scheme: 'tcp',
        host: loopback,
        port: Number(publicPort),
        relayPid: relay.pid,
        agentPid: agent.pid,
      };
    };
    const {echo} = upstream.services;
    return {
      relayBeforeMb,
      tcp: await expose(upstream.port),
      upload: await expose(upstream.sinkPort),
      ...(echo && {echo: await expose(echo.port)}),
    };
  },
};
