// chisel: SSH inside a WebSocket; a reverse port on the server is the public side.

import {randomBytes} from 'node:crypto';
import type {Child} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';
import {accepting, freePort, freePorts} from '../machine/ports.js';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import {loopback, type Peer, type Route, startTimeoutMs} from './peer.js';

export const chisel: Peer = {
  name: 'chisel',
  about: 'chisel, SSH over WebSocket',
  needs: ['chisel'],
  async start(scope, {tools, upstream}) {
    const program = tools.path('chisel');
    const env = {AUTH: `bench:${randomBytes(16).toString('hex')}`};
    const relayPort = await freePort();
    const relay = start(
      scope,
      program,
      ['server', '--host', loopback, '--port', String(relayPort), '--reverse'],
      {env},
    );
    await accepting(relayPort);
    const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
    const connect = async (owner: Scope, remotes: readonly string[]): Promise<Child> => {
      const agent = start(owner, program, ['client', `http://${loopback}:${relayPort}`, ...remotes], {env});
      await within(startTimeoutMs, 'connection of chisel', agent.saidOnStderr(/Connected/));
      return agent;
    };
    const {echo} = upstream.services;
    const [tcpPort, uploadPort, echoPort] = (await freePorts(3)) as [number, number, number];
    const remote = (publicPort: number, port: number) => `R:${loopback}:${publicPort}:${loopback}:${port}`;
    const agent = await connect(scope, [
      remote(tcpPort, upstream.port),
      remote(uploadPort, upstream.sinkPort),
      ...(echo ? [remote(echoPort, echo.port)] : []),
    ]);
    await Promise.all([tcpPort, uploadPort, ...(echo ? [echoPort] : [])].map((port) => accepting(port)));
    const route = (port: number): Route => ({
      scheme: 'tcp',
      host: loopback,
      port,
      relayPid: relay.pid,
      agentPid: agent.pid,
    });
    return {
      relayBeforeMb,
      tcp: route(tcpPort),
      upload: route(uploadPort),
      ...(echo && {echo: route(echoPort)}),
      timeAgent: async (owner) => {
        const [port] = (await freePorts(1)) as [number];
        const began = performance.now();
        await connect(owner, [remote(port, upstream.port)]);
        return performance.now() - began;
      },
    };
  },
};
