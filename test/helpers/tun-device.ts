// /dev/net/tun as a machine of a test has it.

/**
 * The device for UDP: its own one, which everybody may open, as on an ordinary machine; one that root alone may open; or none at all.
 * Nobody else sees it.
 */
export type Device = 'open' | 'shut' | 'none';

/** The words before a command that finds it so. As root. */
export function withDevice(device: Device): string[] {
  const modes = {open: '666', shut: '600'};
  const node = device === 'none' ? [] : [`mknod -m ${modes[device]} /dev/net/tun c 10 200`];
  const steps = ['mkdir -p /dev/net', 'mount -t tmpfs none /dev/net', ...node, 'exec "$@"'];
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', steps.join(' && '), 'sh'];
}
