// WireGuard in user space (wireguard-go), with a keepalive of 25 s. Visitors connect to the far host's address in the VPN.

import {execFileSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Host} from '../../../test/helpers/net-ns.js';
import {start} from '../../machine/programs.js';
import type {FaultPeer} from './peer.js';

const PORT = 51820;
const NEAR = '10.99.0.1';
const FAR = '10.99.0.2';

export const wireguard: FaultPeer = {
  name: 'wireguard',
  over: 'udp',
  needs: ['wireguard-go', 'wg'],
  version: (tools) => /v?(\d+\.\d+\.\d+)/.exec(tools.version('wireguard-go', '--version') ?? '')?.[1],
  async start({scope, tools, path, upstreamPort}) {
    const folder = await scope.tempDir('bench-wireguard');
    const keys = () => {
      const secret = execFileSync(tools.path('wg'), ['genkey'], {encoding: 'utf8'}).trim();
      const known = execFileSync(tools.path('wg'), ['pubkey'], {input: secret, encoding: 'utf8'}).trim();
      return {secret, known};
    };
    const ends = {near: keys(), far: keys()};
    // All namespaces share the program's folder of sockets, so the device names must differ.
    const id = path.near.namespace.split('-')[1];
    const up = async (host: Host, which: 'near' | 'far', address: string, peer: string) => {
      const device = `w${id}${which[0]}`;
      const program = start(scope, tools.path('wireguard-go'), ['--foreground', device], {
        namespace: host.namespace,
        env: {LOG_LEVEL: 'verbose', WG_PROCESS_FOREGROUND: '1'},
      });
      await Promise.race([
        program.line((line) => line.includes('UAPI listener started')),
        program.saidOnStderr(/UAPI listener started/),
      ]);
      const file = join(folder, which);
      writeFileSync(file, `[Interface]\nPrivateKey = ${ends[which].secret}\n${peer}`, {mode: 0o600});
      await host.run('wg', 'setconf', device, file);
      await host.run('ip', 'address', 'add', `${address}/24`, 'dev', device);
      await host.run('ip', 'link', 'set', device, 'up', 'mtu', '1420');
    };
    await up(
      path.near,
      'near',
      NEAR,
      `ListenPort = ${PORT}\n[Peer]\nPublicKey = ${ends.far.known}\nAllowedIPs = ${FAR}/32\n`,
    );
    await up(
      path.far,
      'far',
      FAR,
      `[Peer]\nPublicKey = ${ends.near.known}\nAllowedIPs = ${NEAR}/32\nEndpoint = ${path.near.address}:${PORT}\n` +
        'PersistentKeepalive = 25\n',
    );
    return {host: FAR, port: upstreamPort};
  },
};
