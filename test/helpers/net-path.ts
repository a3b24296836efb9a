// Two hosts with a router between them, each in a separate network namespace. Faults happen in the router, so the hosts do
// not know of them, as on the Internet. Needs root. Nothing outside the namespaces changes.
import {randomBytes} from 'node:crypto';
import {addHost, type Host, succeed} from './net-ns.js';
import type {Scope} from './scope.js';

export interface NetPath {
  /** Where the relay and its visitors are. */
  near: Host;
  /** Where the agent and the upstream are. Its address changes with `move`. */
  far: Host;
  /** The router drops all packets in both directions, or all UDP packets. */
  drop(which?: 'all' | 'udp'): Promise<void>;
  /** The router answers every packet with a reset (TCP) or "port unreachable". */
  refuse(): Promise<void>;
  /** Ends `drop` and `refuse`. */
  mend(): Promise<void>;
  /** Resets both ends of every TCP connection between the hosts, like a firewall that ends connections. */
  cutTcp(): Promise<void>;
  /** The router gives the far host's UDP packets another source port, like a NAT that has forgotten a flow. */
  rebindUdp(): Promise<void>;
  /** The far host has no address for `gapMs`, and then another one. */
  move(gapMs: number): Promise<void>;
  /** The far host's interface is down until the returned function brings it up. */
  down(): Promise<() => Promise<void>>;
}

/** @param names of the near host, in /etc/hosts of both. */
export async function netPath(scope: Scope, names: readonly string[] = []): Promise<NetPath> {
  const id = randomBytes(3).toString('hex');
  const [nearNet, farNet] = ['10.213.1', '10.213.2'];
  const hosts = Object.fromEntries(names.map((name) => [name, `${nearNet}.1`]));
  const host = (name: string, address: string) =>
    addHost(scope, {namespace: `tunl-${id}-${name}`, address, hosts});
  const near = await host('near', `${nearNet}.1`);
  const router = await host('router', `${nearNet}.254`);
  const far = await host('far', `${farNet}.1`);

  await router.run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
  const join = async (end: Host, device: string, net: string) => {
    const atRouter = `r${device}`;
    await succeed(['ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', atRouter]);
    await succeed(['ip', 'link', 'set', device, 'netns', end.namespace]);
    await succeed(['ip', 'link', 'set', atRouter, 'netns', router.namespace]);
    await router.run('ip', 'address', 'add', `${net}.254/24`, 'dev', atRouter);
    await router.run('ip', 'link', 'set', atRouter, 'up');
    await end.run('ip', 'address', 'add', `${end.address}/24`, 'dev', device);
    await end.run('ip', 'link', 'set', device, 'up');
    await end.run('ip', 'route', 'add', 'default', 'via', `${net}.254`);
  };
  const farDevice = `f${id}`;
  await join(near, `n${id}`, nearNet);
  await join(far, farDevice, farNet);
  const farRoute = () => far.run('ip', 'route', 'replace', 'default', 'via', `${farNet}.254`);

  const nft = (rule: string) => router.run('nft', rule);
  await nft('add table inet faults');
  await nft('add chain inet faults forward { type filter hook forward priority 0 ; }');
  await nft('add chain inet faults rewrite { type filter hook prerouting priority -300 ; }');
  const fault = (rule: string) => nft(`add rule inet faults forward ${rule}`);

  let moves = 0;
  let rebinds = 0;
  return {
    near,
    far,
    drop: async (which = 'all') => void (await fault(which === 'udp' ? 'meta l4proto udp drop' : 'drop')),
    refuse: async () => {
      await fault('meta l4proto tcp reject with tcp reset');
      await fault('reject');
    },
    mend: async () => void (await nft('flush chain inet faults forward')),
    cutTcp: async () => void (await far.run('ss', '--kill', '--tcp', 'dst', near.address)),
    rebindUdp: async () => {
      rebinds = (rebinds + 1) % 256;
      await nft('flush chain inet faults rewrite');
      // The way back flips the same bits, so the router keeps no table.
      await nft(`add rule inet faults rewrite iifname rf${id} udp sport set udp sport ^ ${rebinds}`);
      await nft(`add rule inet faults rewrite iifname rn${id} udp dport set udp dport ^ ${rebinds}`);
    },
    move: async (gapMs) => {
      await far.run('ip', 'address', 'flush', 'dev', farDevice, 'scope', 'global');
      await new Promise((resolve) => setTimeout(resolve, gapMs));
      far.address = `${farNet}.${1 + ++moves}`;
      await far.run('ip', 'address', 'add', `${far.address}/24`, 'dev', farDevice);
      await farRoute();
    },
    down: async () => {
      await far.run('ip', 'link', 'set', farDevice, 'down');
      return async () => {
        await far.run('ip', 'link', 'set', farDevice, 'up');
        await farRoute();
      };
    },
  };
}
