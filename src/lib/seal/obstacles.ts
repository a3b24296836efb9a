// Why this machine cannot seal a network, and the command that mends it.

import {readFileSync} from 'node:fs';
import {TunlError} from '../core/errors.js';
import {isExecutable} from '../core/executable.js';
import {PROGRAM_PATH} from './holder.js';

export interface Obstacle {
  readonly why: string;
  readonly mend: string;
}

/** Program, and the Debian package that has it. */
const PROGRAMS: Readonly<Record<string, string>> = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  ip: 'iproute2',
  nft: 'nftables',
  hostname: 'hostname',
};

export const sealError = ({why, mend}: Obstacle): TunlError =>
  new TunlError('SANDBOX_EGRESS', {reason: why, next: mend});

/** The absolute path of a program of the system. Never one from a folder of the user's own PATH. */
export function programPath(name: string): string | undefined {
  return PROGRAM_PATH.split(':')
    .map((folder) => `${folder}/${name}`)
    .find(isExecutable);
}

/** Missing parts, looked for before anything is started. */
export function missing(names: readonly string[]): Obstacle | undefined {
  if (process.platform !== 'linux')
    return {
      why: 'Only Linux can seal the network of a program.',
      mend: 'Use a Linux machine, or no egress rules.',
    };
  const name = names.find((each) => programPath(each) === undefined);
  if (name === undefined) return undefined;
  return {why: `The program ${name} is missing.`, mend: `apt install ${PROGRAMS[name] ?? name}`};
}

/** Bits of CapEff. */
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

/** Whether this process can make network namespaces without a user namespace around them. */
export function isPrivileged(status: string = read('/proc/self/status')): boolean {
  const caps = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return [CAP_NET_ADMIN, CAP_SYS_ADMIN].every((bit) => ((caps >> bit) & 1n) === 1n);
}

/** Why a user namespace could not be made. @param stderr what `unshare` or the holder said. */
export function namespaceObstacle(stderr: string, readFile: (path: string) => string = read): Obstacle {
  const said = stderr.trim().split('\n')[0] ?? '';
  const detail = said === '' ? '' : ` (${said.slice(0, 200)})`;
  const setting = (path: string) => readFile(path).trim();
  if (setting('/proc/sys/kernel/unprivileged_userns_clone') === '0') {
    return {
      why: `User namespaces are off for ordinary users${detail}.`,
      mend: 'sudo sysctl -w kernel.unprivileged_userns_clone=1',
    };
  }
  if (setting('/proc/sys/user/max_user_namespaces') === '0') {
    return {
      why: `This system allows no user namespaces${detail}.`,
      mend: 'sudo sysctl -w user.max_user_namespaces=15000',
    };
  }
  if (setting('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1') {
    return {
      why: `AppArmor allows no user namespaces to the program unshare${detail}.`,
      mend: `Load a profile for it: ${APPARMOR_COMMAND}`,
    };
  }
  return {
    why: `This process may make no user or network namespace${detail}. In a container its engine forbids them.`,
    mend: 'Run it outside of a container, or in one with --cap-add SYS_ADMIN --cap-add NET_ADMIN.',
  };
}

/** Ubuntu 24.04 and later. */
const APPARMOR_PROFILE =
  'abi <abi/4.0>, include <tunables/global> profile tunl-unshare /usr/bin/unshare flags=(unconfined) { userns, }';
const APPARMOR_COMMAND = `echo '${APPARMOR_PROFILE}' | sudo tee /etc/apparmor.d/tunl-unshare && sudo apparmor_parser -r /etc/apparmor.d/tunl-unshare`;

/** @param what begins the sentence. */
export const lateObstacle = (what: string): Obstacle => ({
  why: `${what} of a sealed network was not ready in time.`,
  mend: 'Start it again when the machine is less busy.',
});

/** The system has refused something to this process. @param what begins the sentence. */
export function systemObstacle(what: string, error: unknown): Obstacle {
  const {code, message} = error as NodeJS.ErrnoException;
  const isFull = code === 'EMFILE' || code === 'ENFILE';
  return {
    why: `${what} cannot be opened: ${message}.`,
    mend: isFull ? 'Raise the limit of open files: ulimit -n 4096' : 'Start it again.',
  };
}

/** Codes of the holder's answers. */
export const NO_RULES = 73;
export const NO_LISTENERS = 74;
export const NO_IPV6 = 81;
export const NO_DEVICE = 82;
export const NO_MEMBER = 83;
export const NO_HOSTS = 84;

export function holderObstacle(code: number, stderr: string): Obstacle {
  const said = stderr.trim().split('\n')[0]?.slice(0, 200) ?? '';
  const detail = said === '' ? '' : ` (${said})`;
  if (code === NO_RULES) {
    return {
      why: `nft could not load the rules of a sealed network${detail}.`,
      mend: 'sudo modprobe -a nf_tables nft_chain_nat nft_ct nft_reject_inet nft_limit',
    };
  }
  if (code === NO_LISTENERS)
    return {
      why: `The listeners of a sealed network could not be made${detail}.`,
      mend: 'Install tunl again.',
    };
  if (code === NO_IPV6)
    return {
      why: `A private network needs IPv6, and this kernel has none${detail}.`,
      mend: 'Start the system without ipv6.disable=1. It needs no IPv6 internet.',
    };
  if (code === NO_DEVICE)
    return {why: `The device of a private network could not be made${detail}.`, mend: 'sudo modprobe veth'};
  if (code === NO_MEMBER || code === NO_HOSTS)
    return {
      why: `The names and addresses of a private network could not be set${detail}. In a container its engine forbids it.`,
      mend: 'Run it outside of a container, or use tunl net forward and tunl net serve.',
    };
  return namespaceObstacle(stderr);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
