// Why bubblewrap does not work on a machine, and the command that mends it.

import {readFile} from 'node:fs/promises';
import {oneLine} from '../../core/one-line.js';

export interface Obstacle {
  readonly why: string;
  readonly mend: string;
}

/** `--disable-userns` and `--size` came with it. */
export const OLDEST: readonly [major: number, minor: number] = [0, 8];

export const MISSING: Obstacle = {
  why: 'bubblewrap is not installed.',
  mend: 'apt-get install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora), or pacman -S bubblewrap (Arch).',
};

export function tooOld(version: string): Obstacle | undefined {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(version) ?? [];
  const isOld =
    major === undefined ||
    Number(major) < OLDEST[0] ||
    (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1]);
  if (!isOld) return undefined;
  return {
    why: `bubblewrap ${OLDEST.join('.')} or later is needed; this is ${oneLine(version) || 'unknown'}.`,
    mend: 'Update bubblewrap.',
  };
}

/** A program of the system that the launch needs. */
export const missingProgram = (name: string, debianPackage: string): Obstacle => ({
  why: `The program ${name} is not installed.`,
  mend: `apt-get install ${debianPackage}, or the package of this system with ${name}.`,
});

/** Settings of the kernel that keep users from making namespaces. */
export interface KernelSettings {
  /** kernel.unprivileged_userns_clone, of Debian's kernels. */
  readonly clone: string;
  /** user.max_user_namespaces */
  readonly most: string;
  /** kernel.apparmor_restrict_unprivileged_userns, of Ubuntu's kernels. */
  readonly appArmor: string;
}

export async function readKernelSettings(): Promise<KernelSettings> {
  const read = (path: string) =>
    readFile(`/proc/sys/${path}`, 'utf8').then(
      (text) => text.trim(),
      () => '',
    );
  const [clone, most, appArmor] = await Promise.all([
    read('kernel/unprivileged_userns_clone'),
    read('user/max_user_namespaces'),
    read('kernel/apparmor_restrict_unprivileged_userns'),
  ]);
  return {clone, most, appArmor};
}

/** @param said stderr of bwrap, or of the unshare before it. */
export function explain(said: string, settings: KernelSettings): Obstacle {
  if (said.startsWith('unshare: ')) {
    return {
      why: `root may not make namespaces in this container: ${oneLine(said).slice(0, 200)}`,
      mend: 'Run tunl in it as an ordinary user, or start the container with --cap-add SYS_ADMIN.',
    };
  }
  if (settings.clone === '0') {
    return {
      why: 'The kernel lets no user make namespaces (kernel.unprivileged_userns_clone is 0).',
      mend: 'As root: sysctl -w kernel.unprivileged_userns_clone=1',
    };
  }
  // The launch needs two, one inside the other.
  if (settings.most !== '' && Number(settings.most) < 2) {
    return {
      why: `The kernel lets no user make namespaces (user.max_user_namespaces is ${settings.most}).`,
      mend: 'As root: sysctl -w user.max_user_namespaces=10000',
    };
  }
  if (settings.appArmor === '1' && /permission denied|not permitted/i.test(said)) {
    return {
      why: 'AppArmor lets bwrap make no namespaces (kernel.apparmor_restrict_unprivileged_userns is 1).',
      mend: 'As root: apt-get install apparmor-profiles && ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict',
    };
  }
  if (/mount proc|proc on/i.test(said)) {
    return {
      why: 'This container hides parts of /proc, so that no sandbox inside it can have its own.',
      mend: 'Start the container with an unmasked /proc (podman: --security-opt unmask=/proc/*; docker: --security-opt systempaths=unconfined).',
    };
  }
  if (/namespace|not permitted|clone|unshare/i.test(said)) {
    return {
      why: `bwrap may not make namespaces here: ${oneLine(said).slice(0, 200)}`,
      mend: 'In a container, allow user namespaces (its seccomp profile, or --security-opt seccomp=unconfined); on a host, ask its administrator.',
    };
  }
  return {
    why: `bwrap fails: ${oneLine(said).slice(0, 300) || 'it says nothing.'}`,
    mend: 'Run `bwrap --unshare-all --ro-bind / / true` to see the same.',
  };
}
