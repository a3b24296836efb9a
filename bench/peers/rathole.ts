// rathole over its Noise transport: a TCP port for each service, and a connection for each visitor.

import {execFileSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {accepting, freePorts} from '../machine/ports.js';
import {memoryMbOf} from '../machine/proc.js';
import {start} from '../machine/programs.js';
import {loopback, type Peer, type Route} from './peer.js';

export const rathole: Peer = {
  name: 'rathole',
  about: 'rathole, its Noise transport',
  needs: ['rathole'],
  async start(scope, {tools, upstream}) {
    const program = tools.path('rathole');
    const folder = await scope.tempDir('bench-rathole');
    const keys = execFileSync(program, ['--genkey'], {encoding: 'utf8'});
    const [, privateKey, publicKey] = /Private Key:\s*(\S+)\s*Public Key:\s*(\S+)/.exec(keys) ?? [];
    const [port, ...publicPorts] = (await freePorts(4)) as [number, ...number[]];
    const {echo} = upstream.services;
    const upstreams = [upstream.port, upstream.sinkPort, ...(echo ? [echo.port] : [])];
    const config = (side: 'server' | 'client', head: string, service: (n: number) => string) => {
      const file = join(folder, `${side}.toml`);
      const token = `default_token = "${secret}"\n`;
      const services = upstreams.map((_, n) => `[${side}.services.s${n}]\n${service(n)}`);
      writeFileSync(file, `[${side}]\n${token}${head}${services.join('')}`, {mode: 0o600});
      return file;
    };
    const secret = randomBytes(16).toString('hex');
    const noise = (side: string, key: string) =>
      `[${side}.transport]\ntype = "noise"\n[${side}.transport.noise]\n${key}\n`;
    const relayConfig = config(
      'server',
      `bind_addr = "${loopback}:${port}"\n${noise('server', `local_private_key = "${privateKey}"`)}`,
      (n) => `bind_addr = "${loopback}:${publicPorts[n]}"\n`,
    );
    const relay = start(scope, program, ['--server', relayConfig]);
    await accepting(port);
    const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
    const agentConfig = config(
      'client',
      `remote_addr = "${loopback}:${port}"\n${noise('client', `remote_public_key = "${publicKey}"`)}`,
      (n) => `local_addr = "${loopback}:${upstreams[n]}"\n`,
    );
    const agent = start(scope, program, ['--client', agentConfig]);
    // A service listens when its agent has come.
    await Promise.all(upstreams.map((_, n) => accepting(publicPorts[n] ?? 0)));
    const route = (n: number): Route => ({
      ...{scheme: 'tcp', host: loopback, port: publicPorts[n] ?? 0},
      relayPid: relay.pid,
      agentPid: agent.pid,
    });
    return {relayBeforeMb, tcp: route(0), upload: route(1), ...(echo && {echo: route(2)})};
  },
};
