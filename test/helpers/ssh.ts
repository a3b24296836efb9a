// An ssh for tests that uses no settings of the tester, new keys, and another user of this machine.
import {execFileSync} from 'node:child_process';
import {access, chmod, copyFile, cp, mkdir, readFile, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {run} from './child.js';
import {root} from './launching.js';
import type {Scope} from './scope.js';

export interface KeyFiles {
  /** The private key; `.pub` is beside it. */
  path: string;
  publicKey: string;
}

export async function makeKey(scope: Scope, type = 'ed25519', ...args: string[]): Promise<KeyFiles> {
  const path = join(await scope.tempDir('key'), 'key');
  const made = await run(scope, 'ssh-keygen', [
    '-q',
    '-t',
    type,
    '-N',
    '',
    '-C',
    'a test',
    '-f',
    path,
    ...args,
  ]);
  if (made.code !== 0) throw new Error(made.stderr);
  return {path, publicKey: (await readFile(`${path}.pub`, 'utf8')).trim()};
}

/** A folder for PATH in which ssh, scp, sftp use this key and these known hosts and nothing else. */
export async function sshFolder(scope: Scope, key: KeyFiles, knownHosts: string): Promise<string> {
  const folder = await scope.tempDir('ssh');
  const config = join(folder, 'config');
  const hosts = join(folder, 'known_hosts');
  await writeFile(hosts, `${knownHosts}\n`);
  await writeFile(
    config,
    `IdentityFile ${key.path}
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile ${hosts}
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
ConnectTimeout 10
`,
  );
  for (const name of ['ssh', 'scp', 'sftp']) {
    const script = `#!/bin/sh\nexec /usr/bin/${name} -F ${config} "$@"\n`;
    await writeFile(join(folder, name), script, {mode: 0o755});
  }
  return folder;
}

export interface OtherUser {
  name: string;
  home: string;
  /** The words before a command that run it as this user. */
  as: string[];
}

/** A new ordinary user, deleted with the scope. */
export async function otherUser(scope: Scope): Promise<OtherUser> {
  const name = `tunl-test-${process.pid}`;
  const made = await run(scope, '/usr/sbin/useradd', ['--create-home', '--shell', '/bin/bash', name]);
  if (made.code !== 0) throw new Error(made.stderr);
  scope.onEnd(() => void execFileSync('/usr/sbin/userdel', ['--remove', '--force', name], {stdio: 'ignore'}));
  const as = ['setpriv', `--reuid=${name}`, `--regid=${name}`, '--init-groups'];
  return {name, home: `/home/${name}`, as};
}

/**
 * Copies Node, the launcher's sources and the built command to a place that another user can read: the project may be in a
 * private folder.
 */
export async function forOtherUser(scope: Scope, user: OtherUser): Promise<{node: string; root: string}> {
  const readable = await run(scope, user.as[0] ?? '', [
    ...user.as.slice(1),
    'test',
    '-r',
    join(root, 'package.json'),
  ]);
  if (readable.code === 0) return {node: process.execPath, root};
  const folder = await scope.tempDir('copy');
  await chmod(folder, 0o755);
  await copyFile(process.execPath, join(folder, 'node'));
  await cp(join(root, 'src'), join(folder, 'src'), {recursive: true});
  await mkdir(join(folder, 'test/helpers'), {recursive: true});
  await copyFile(join(root, 'test/helpers/ts-hook.js'), join(folder, 'test/helpers/ts-hook.js'));
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'));
  for (const name of ['bin', 'dist', 'oclif.manifest.json']) {
    await cp(join(root, name), join(folder, name), {recursive: true});
  }
  const {dependencies} = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const done = new Set<string>();
  for (const name of Object.keys(dependencies)) {
    await copyPackage(name, join(root, 'node_modules'), join(folder, 'node_modules'), done);
  }
  return {node: join(folder, 'node'), root: folder};
}

async function copyPackage(name: string, from: string, to: string, done: Set<string>): Promise<void> {
  if (done.has(name)) return;
  done.add(name);
  const source = join(from, name);
  // It is below the package that needs it, so it is copied already.
  const there = await access(source).then(
    () => true,
    () => false,
  );
  if (!there) return;
  await mkdir(dirname(join(to, name)), {recursive: true});
  await cp(source, join(to, name), {recursive: true});
  const {dependencies = {}} = JSON.parse(await readFile(join(source, 'package.json'), 'utf8'));
  for (const dependency of Object.keys(dependencies)) await copyPackage(dependency, from, to, done);
}
