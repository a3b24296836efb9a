// An image without a registry and without content of its own: its programs are the host's /usr, mounted read-only.

import {type ChildProcess, execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod, mkdir, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {EngineApi} from '../../src/lib/sandbox/engine/api.js';
import {kindOf} from '../../src/lib/sandbox/engine/find-socket.js';
import type {SandboxMount} from '../../src/lib/sandbox/spec.js';
import type {Scope} from './scope.js';

const run = promisify(execFile);

/** The programs of the image. */
export const IMAGE_MOUNTS: readonly SandboxMount[] = [{source: '/usr', target: '/usr', readOnly: true}];

/** Resolves to its name, which is removed at the end of the scope. */
export async function makeImage(
  scope: Scope,
  changes: readonly string[] = [],
  name = `localhost/tunl-test-${process.pid}-${Math.random().toString(36).slice(2)}`,
): Promise<string> {
  const root = await scope.tempDir('image');
  for (const folder of ['usr', 'etc', 'proc', 'dev', 'sys', 'tmp']) await mkdir(join(root, folder));
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${folder}`, join(root, folder));
  await chmod(join(root, 'tmp'), 0o1777);
  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp/home:/bin/sh\n',
  );
  const tar = `${root}.tar`;
  scope.onEnd(async () => {
    await run('rm', ['-f', tar]);
  });
  await run('tar', ['-C', root, '-cf', tar, '.']);
  await run('podman', ['import', ...changes.flatMap((change) => ['--change', change]), tar, name]);
  scope.onEnd(async () => {
    await podmanTwice('rmi', '--force', name);
  });
  return name;
}

/** Podman 4 fails to remove when the monitor of a container that has just died cleans up at the same time. */
export async function podmanTwice(...words: string[]): Promise<void> {
  await run('podman', words).catch(() => run('podman', words));
}

/** Names of the containers with this label, running or not. */
export async function containers(label: string): Promise<string[]> {
  const filter = ['--filter', `label=${label}`];
  const {stdout} = await run('podman', ['ps', '--all', '--format', '{{.Names}}', ...filter]);
  return stdout.split('\n').filter((line) => line !== '');
}

/** Podman's API with a runtime that starts on every kind of control groups. */
export async function podmanService(
  scope: Scope,
  folder?: string,
): Promise<{socketPath: string; child: ChildProcess}> {
  const cwd = folder ?? (await scope.tempDir('podman'));
  const socketPath = join(cwd, 'podman.sock');
  const words = ['--runtime', 'runc', 'system', 'service', '--time', '0', `unix://${socketPath}`];
  const child = spawn('podman', words, {cwd, stdio: 'ignore'});
  const ended = once(child, 'exit');
  scope.onEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const api = new EngineApi(socketPath);
  while (!(await kindOf(api).catch(() => undefined))) {
    if (child.exitCode !== null) throw new Error('podman does not start');
    await new Promise(setImmediate);
  }
  return {socketPath, child};
}
