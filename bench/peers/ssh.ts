// OpenSSH: a separate sshd on loopback as relay, `ssh -R` as agent.

import {execFileSync} from 'node:child_process';
import {copyFileSync, mkdirSync, writeFileSync} from 'node:fs';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import type {Child} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';
import {accepting, freePort} from '../machine/ports.js';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import {loopback, type Peer, type Route, startTimeoutMs, tcpRoutes} from './peer.js';

export const ssh: Peer = {
  name: 'ssh',
  about: 'ssh -R (OpenSSH)',
  needs: ['ssh', 'sshd', 'ssh-keygen'],
  async start(scope, {tools, upstream}) {
    const folder = await scope.tempDir('bench-ssh');
    const relay = await startSshd(scope, tools, folder);
    const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
    const expose = async (owner: Scope, port: number): Promise<Route> => {
      const agent = startSsh(owner, tools, folder, relay.port, port);
      const publicPort = await allocated(agent);
      return {scheme: 'tcp', host: loopback, port: publicPort, relayPid: relay.pid, agentPid: agent.pid};
    };
    return {relayBeforeMb, ...(await tcpRoutes(scope, upstream, expose))};
  },
};

async function startSshd(scope: Scope, tools: Tools, folder: string): Promise<{pid: number; port: number}> {
  for (const name of ['host', 'user']) {
    execFileSync(tools.path('ssh-keygen'), ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
  }
  copyFileSync(join(folder, 'user.pub'), join(folder, 'authorized_keys'));
  const port = await freePort();
  writeFileSync(
    join(folder, 'sshd_config'),
    [
      `ListenAddress ${loopback}:${port}`,
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'UseDNS no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      'AllowTcpForwarding remote',
      'LogLevel ERROR',
      '',
    ].join('\n'),
  );
  // sshd refuses to start without the folder that Debian makes when its service starts.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', {recursive: true, mode: 0o755});
  const sshd = start(scope, tools.path('sshd'), ['-D', '-e', '-f', join(folder, 'sshd_config')]);
  await accepting(port);
  return {pid: sshd.pid, port};
}

function startSsh(scope: Scope, tools: Tools, folder: string, relayPort: number, port: number): Child {
  return start(scope, tools.path('ssh'), [
    ...['-F', '/dev/null', '-N', '-i', join(folder, 'user'), '-p', String(relayPort)],
    ...['-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'ExitOnForwardFailure=yes'],
    ...['-o', `UserKnownHostsFile=${folder}/known_hosts`, '-o', 'StrictHostKeyChecking=accept-new'],
    ...['-R', `${loopback}:0:${loopback}:${port}`, `${userInfo().username}@${loopback}`],
  ]);
}

async function allocated(agent: Child): Promise<number> {
  const [, port] = await within(
    startTimeoutMs,
    'port from ssh -R',
    agent.saidOnStderr(/Allocated port (\d+)/),
  );
  return Number(port);
}
