// A separate sshd: runs as the user, accepts only that user with the given keys.
import {chmod, mkdir, rename, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import {TunlError} from '../../core/errors.js';
import type {FreeProgram, Site} from '../program.js';
import {run} from '../run.js';
import {hasPamService, isLocked, strictModesHold} from '../ssh/account.js';
import {knownHostsLine, type SshdConfig, sessionEnv, sshdConfig, sshLine} from '../ssh/config.js';
import {hostKey} from '../ssh/host-key.js';
import {formatKey, type PublicKey} from '../ssh/public-key.js';

export interface SshdOptions {
  /** The keys that may log in. Not empty. */
  readonly keys: readonly PublicKey[];
  /** The host key is kept here. */
  readonly stateDir: string;
  /** How visitors connect: by a raw TCP port, or through the TLS name. Default `tcp`. */
  readonly via?: 'tcp' | 'tls';
  /** For `tls`: the CA of the relay's certificate, if visitors' systems do not know it. */
  readonly caFile?: string;
  /** The source of PATH and other variables for sessions. Default: this process's environment. */
  readonly env?: Readonly<NodeJS.ProcessEnv>;
}

/** sshd as root requires it. Debian's service makes it at each boot, which containers do not have. */
const PRIVSEP_FOLDER = '/run/sshd';

/** Reads or makes the host key, so that its fingerprint is known before the start. */
export async function sshd(options: SshdOptions): Promise<FreeProgram> {
  const {keys, via = 'tcp', caFile} = options;
  if (keys.length === 0)
    throw new TunlError('KEY_INVALID', {reason: 'Nobody could log in: no keys are given.'});
  const host = await hostKey(options.stateDir, options.env);
  const user = currentUser();
  return {
    name: 'ssh',
    title: 'sshd',
    candidates: () =>
      ['sshd', '/usr/sbin/sshd', '/usr/local/sbin/sshd', '/sbin/sshd', '/opt/homebrew/sbin/sshd'].map(
        (bin) => ({bin}),
      ),
    install: 'Install OpenSSH’s server (`apt install openssh-server`, or your system’s package).',
    prepare: async (site) => {
      const authorizedKeysPath = join(site.folder, 'authorized_keys');
      await writeFile(authorizedKeysPath, `${keys.map(formatKey).join('\n')}\n`, {mode: 0o600});
      const locked = site.uid === 0 && (await isLocked(user));
      const usePam = locked && (await hasPamService());
      if (locked && !usePam) throw new TunlError('ACCOUNT_LOCKED', lockedAccount(user));
      await settle(site, {
        port: site.port,
        user,
        hostKeyPath: host.path,
        authorizedKeysPath,
        strictModes: await strictModesHold(site.folder, site.uid),
        usePam,
        penalties: true,
        env: sessionEnv(options.env ?? site.env),
      });
      return undefined;
    },
    start: (site) => ({args: ['-D', '-e', '-f', configOf(site)]}),
    ready: () => ({kind: 'banner', start: 'SSH-'}),
    readyTimeoutMs: 10_000,
    address: (site) => sshLine({user, public: site.public, via, ...(caFile !== undefined && {caFile})}),
    login: (site) => [
      {name: 'fingerprint', label: 'host key', value: host.fingerprint, secret: false},
      {
        name: 'knownHosts',
        label: 'known_hosts',
        value: knownHostsLine(site.public, via, host.publicKey),
        secret: false,
      },
    ],
  };
}

const configOf = (site: Site) => join(site.folder, 'sshd_config');

function currentUser(): string {
  try {
    return userInfo().username;
  } catch (cause) {
    throw new TunlError('PROGRAM_CONFIG', {
      reason:
        'The user that tunl runs as has no entry in /etc/passwd; sshd accepts only users with an entry.',
      next: 'Add an entry with this user id, a home folder and a shell.',
      cause,
    });
  }
}

function lockedAccount(user: string): {reason: string; next: string} {
  return {
    reason: `The account ${user} is locked, so sshd refuses all logins.`,
    next: `Unlock it without setting a password: usermod -p '*' ${user}`,
  };
}

/**
 * Writes the configuration that this sshd accepts: with all settings, else without the one that older versions do not know.
 * As root it tries both again after it has made the folder that containers lack.
 */
async function settle(site: Site, config: SshdConfig): Promise<void> {
  let complaint = await firstComplaint(site, config);
  if (complaint !== undefined && site.uid === 0 && (await makePrivsepFolder())) {
    complaint = await firstComplaint(site, config);
  }
  if (complaint === undefined) return;
  throw new TunlError('PROGRAM_CONFIG', {
    reason: `sshd does not accept its configuration${complaint && `: ${complaint}`}`,
    // A program that ends without output may not be an sshd.
    ...(complaint === '' && {next: `Check that ${site.found.bin} is an sshd, and a current one.`}),
  });
}

/** Undefined when the configuration is valid. Both are tried at once, because every start waits for this. */
async function firstComplaint(site: Site, config: SshdConfig): Promise<string | undefined> {
  const [full, older] = await Promise.all([
    tryOut(site, config, 'full'),
    tryOut(site, {...config, penalties: false}, 'older'),
  ]);
  const accepted = [full, older].find(({complaint}) => complaint === undefined);
  if (accepted) await rename(accepted.path, configOf(site));
  return accepted ? undefined : older.complaint;
}

/** The complaint of `sshd -t` about a configuration, if there is one. */
async function tryOut(
  site: Site,
  config: SshdConfig,
  name: string,
): Promise<{path: string; complaint: string | undefined}> {
  const path = `${configOf(site)}.${name}`;
  await writeFile(path, sshdConfig(config), {mode: 0o600});
  const {code, stderr} = await run(site.found.bin, ['-t', '-f', path], {env: site.env});
  return {path, complaint: code === 0 ? undefined : stderr.trim().split('\n').slice(-3).join(' ')};
}

/** Returns false when the folder exists already, or cannot be made. */
async function makePrivsepFolder(): Promise<boolean> {
  try {
    await mkdir(PRIVSEP_FOLDER, {mode: 0o755});
    // The mode is set regardless of the umask: sshd refuses a folder that others can write to.
    await chmod(PRIVSEP_FOLDER, 0o755);
    return true;
  } catch {
    return false;
  }
}
