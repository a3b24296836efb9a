// OpenSSH with its defaults: `ssh -R` to its own sshd. Nothing restarts it when it ends.

import {execFileSync} from 'node:child_process';
import {copyFileSync, mkdirSync, writeFileSync} from 'node:fs';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import {start, within} from '../../machine/programs.js';
import {startTimeoutMs} from '../../peers/peer.js';
import {type FaultPeer, RELAY_NAME} from './peer.js';

const PORT = 2222;

export const ssh: FaultPeer = {
  name: 'ssh',
  over: 'tcp',
  needs: ['ssh', 'sshd', 'ssh-keygen'],
  version: (tools) => tools.version('ssh', '-V')?.split(/[ ,]/)[0]?.replace('OpenSSH_', ''),
  async start({scope, tools, path: {near, far}, upstreamPort}) {
    const folder = await scope.tempDir('bench-ssh');
    for (const name of ['host', 'user']) {
      execFileSync(tools.path('ssh-keygen'), ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
    }
    copyFileSync(join(folder, 'user.pub'), join(folder, 'authorized_keys'));
    const config = [
      `Port ${PORT}`,
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'UseDNS no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
    ];
    writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`);
    // sshd refuses to start without the folder that Debian makes when its service starts.
    mkdirSync('/run/sshd', {recursive: true, mode: 0o755});
    const sshd = start(scope, tools.path('sshd'), ['-D', '-e', '-f', join(folder, 'sshd_config')], {
      namespace: near.namespace,
    });
    // The sshd process of a login that lost its network stays for hours, in a process group of its own.
    scope.onEnd(async () => {
      const pids = await near.run('ip', 'netns', 'pids', near.namespace);
      for (const pid of pids.split('\n').filter((line) => line !== '')) stop(Number(pid));
    });
    await within(startTimeoutMs, 'start of sshd', sshd.saidOnStderr(/Server listening on/));
    const words = [
      ...['-F', '/dev/null', '-N', '-i', join(folder, 'user'), '-p', String(PORT)],
      ...['-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'ExitOnForwardFailure=yes'],
      ...['-o', `UserKnownHostsFile=${folder}/known_hosts`, '-o', 'StrictHostKeyChecking=accept-new'],
      ...['-R', `127.0.0.1:0:127.0.0.1:${upstreamPort}`, `${userInfo().username}@${RELAY_NAME}`],
    ];
    const agent = start(scope, tools.path('ssh'), words, {namespace: far.namespace});
    const [, port] = await within(
      startTimeoutMs,
      'port from ssh -R',
      agent.saidOnStderr(/Allocated port (\d+)/),
    );
    return {host: '127.0.0.1', port: Number(port)};
  },
};

function stop(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It ended meanwhile.
  }
}
