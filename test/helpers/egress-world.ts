// A machine, a relay with egresses, and destinations beyond it: three network namespaces in a row. The machine has a route
// through the relay's host to everything, so whatever leaves it without the tunnel is seen, and counted. Needs root.

import {fileURLToPath} from 'node:url';
import {Child, type ChildOptions} from './child.js';
import {projectRoot} from './cli.js';
import {countLeaks} from './leak-counter.js';
import {addHost, type Host, succeed, twoHosts, type Wire} from './net-ns.js';
import {type RelayProcess, startRelayProcess} from './relay.js';
import type {Scope} from './scope.js';
import {type Device, withDevice} from './tun-device.js';

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export const SITE = {v4: '203.0.113.10', v6: '2001:db8::10'} as const;
/** The addresses that each egress leaves by. */
export const EGRESSES = {
  one: ['198.51.100.1', '2001:db8:2::1'],
  two: ['198.51.100.2'],
  many: ['198.51.100.11', '198.51.100.12', '198.51.100.13', '198.51.100.14', '198.51.100.15'],
} as const;

const ZONE = {
  'site.example': {a: [SITE.v4], aaaa: [SITE.v6]},
  'four.example': {a: [SITE.v4]},
};

export type User = 'root' | 'user';

const AS: Readonly<Record<User, readonly string[]>> = {
  root: [],
  user: ['setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--'],
};

export interface RunOptions extends ChildOptions {
  /** Default: none, so UDP is refused. */
  device?: Device;
}

export interface EgressWorld {
  readonly machine: Host;
  /** Where the destinations are. */
  readonly internet: Host;
  readonly wire: Wire;
  readonly relay: RelayProcess;
  /** Starts it again with the same names. */
  startRelay(): Promise<void>;
  /** Packets that left the machine for anything but the relay. */
  leaks(): Promise<number>;
  /** The words before a command that is an agent of the relay, as this user. */
  tunl(user: User, args: readonly string[]): [string, ...string[]];
  env(user: User): Record<string, string>;
  /** `tunl egress run ARGS`, as this user. */
  run(scope: Scope, user: User, args: readonly string[], options?: RunOptions): Child;
}

export async function egressWorld(scope: Scope): Promise<EgressWorld> {
  const wire = await twoHosts(scope, {'relay.test': 'two'});
  const {one: machine, two: gate} = wire;
  const internet = await addHost(scope, {namespace: `${machine.namespace}-net`, address: '192.0.2.2'});
  const id = machine.namespace.slice(5, 11);
  const ends = {inner: `w${id}a`, outer: `w${id}b`};
  await succeed(['ip', 'link', 'add', ends.inner, 'type', 'veth', 'peer', 'name', ends.outer]);
  await succeed(['ip', 'link', 'set', ends.inner, 'netns', gate.namespace]);
  await succeed(['ip', 'link', 'set', ends.outer, 'netns', internet.namespace]);
  const batch = (host: Host, lines: readonly string[]) =>
    host.run('sh', '-ec', lines.map((line) => `ip ${line}`).join('\n'));
  const both = Object.values(EGRESSES).flat();
  const add = (address: string, device: string) =>
    `address add ${address}/${address.includes(':') ? 128 : 32} dev ${device}${address.includes(':') ? ' nodad' : ''}`;
  await batch(gate, [
    `address add 192.0.2.1/24 dev ${ends.inner}`,
    `address add 2001:db8:1::1/64 dev ${ends.inner} nodad`,
    `link set ${ends.inner} up`,
    ...both.map((address) => add(address, ends.inner)),
    `route add ${SITE.v4} via 192.0.2.2`,
    `-6 route add ${SITE.v6} via 2001:db8:1::2`,
  ]);
  await batch(internet, [
    `address add 192.0.2.2/24 dev ${ends.outer}`,
    `address add 2001:db8:1::2/64 dev ${ends.outer} nodad`,
    `link set ${ends.outer} up`,
    ...[SITE.v4, '203.0.113.53', SITE.v6].map((address) => add(address, ends.outer)),
    'route add default via 192.0.2.1',
    '-6 route add default via 2001:db8:1::1',
  ]);
  const device =
    (await machine.run('ip', '-o', 'link', 'show', 'type', 'veth')).split(': ')[1]?.split('@')[0] ?? '';
  await machine.run('ip', 'address', 'add', '2001:db8:9::1/64', 'dev', device, 'nodad');
  await machine.run('ip', 'route', 'add', 'default', 'via', gate.address);
  await machine.run('ip', '-6', 'route', 'add', 'default', 'dev', device);
  const leaks = await countLeaks(machine, {allowed: [`ip daddr ${gate.address} tcp dport 443`]});
  await gate.run('sh', '-c', `echo 'nameserver 203.0.113.53' > /etc/netns/${gate.namespace}/resolv.conf`);
  await gate.run('ip', 'route', 'add', '203.0.113.53', 'via', '192.0.2.2');
  const options = {namespace: internet.namespace};
  const names = Child.start(scope, process.execPath, [file('internet.js'), JSON.stringify(ZONE)], options);
  const site = Child.start(scope, process.execPath, [file('egress-site.js')], options);
  await Promise.all([names.line(), site.line()]);
  const stateDir = await scope.tempDir('relay');
  const start = () =>
    startRelayProcess(scope, {
      domain: 'relay.test',
      listen: `${gate.address}:443`,
      namespace: gate.namespace,
      stateDir,
      token: 'tunl-test-token-of-the-egress-world',
      flags: Object.entries(EGRESSES).flatMap(([name, all]) => ['--egress', `${name}=${all.join(',')}`]),
    });
  let relay = await start();
  const states: Record<User, string> = {root: await scope.tempDir('root'), user: await scope.tempDir('user')};
  await succeed(['chown', '1000:1000', states.user]);
  await succeed(['chmod', '-R', 'a+rX', stateDir]);
  const env = (user: User) => ({...relay.env, HOME: states[user], TUNL_STATE_DIR: states[user]});
  const tunl = (user: User, args: readonly string[]): [string, ...string[]] =>
    [...AS[user], process.execPath, `${projectRoot}bin/run.js`, ...args] as [string, ...string[]];
  return {
    machine,
    internet,
    wire,
    get relay() {
      return relay;
    },
    startRelay: async () => {
      relay = await start();
    },
    leaks: () => leaks.packets(),
    tunl,
    env,
    run: (own, user, args, {device = 'none', ...more} = {}) => {
      const [command = '', ...words] = [...withDevice(device), ...tunl(user, ['egress', 'run', ...args])];
      return Child.start(own, command, words, {
        ...more,
        namespace: machine.namespace,
        name: `tunl egress run ${args.join(' ')} as ${user}`,
        env: {...env(user), ...more.env},
      });
    },
  };
}
