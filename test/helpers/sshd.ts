// A real sshd as an upstream, and the ssh command that logs in to it through a tunnel without the tester's settings.
import {mkdir, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {Child, run} from './child.js';
import {type Scope, unusedPort} from './scope.js';

export interface Sshd {
  port: number;
  /** The words of an ssh command for a tunnel's address; the remote command follows. */
  ssh(host: string, port: number): string[];
}

export async function startSshd(scope: Scope): Promise<Sshd> {
  const folder = await scope.tempDir('sshd');
  for (const key of ['host', 'user']) {
    const made = await run(scope, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${folder}/${key}`]);
    if (made.code !== 0) throw new Error(made.stderr);
  }
  const port = await unusedPort();
  const config = [
    ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${folder}/host`, 'PidFile none', 'UsePAM no'],
    ...[`AuthorizedKeysFile ${folder}/user.pub`, 'StrictModes no', 'PasswordAuthentication no'],
    ...['PermitRootLogin prohibit-password', 'MaxStartups 100', 'Subsystem sftp internal-sftp'],
  ];
  await writeFile(`${folder}/config`, `${config.join('\n')}\n`);
  // sshd changes its root to this folder before the login. Its service makes the folder, and the tests start no service.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', {recursive: true, mode: 0o755});
  const sshd = Child.start(scope, '/usr/sbin/sshd', ['-D', '-e', '-f', `${folder}/config`]);
  await sshd.saidOnStderr(/listening on/);
  return {
    port,
    ssh: (host, at) => [
      ...['ssh', '-F', 'none', '-i', `${folder}/user`, '-p', String(at), '-o', 'BatchMode=yes'],
      ...[
        '-o',
        'StrictHostKeyChecking=no',
        '-o',
        `UserKnownHostsFile=${folder}/known`,
        '-o',
        'LogLevel=ERROR',
      ],
      `${userInfo().username}@${host}`,
    ],
  };
}
