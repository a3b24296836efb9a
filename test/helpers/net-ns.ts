// Hosts for a test: network namespaces joined by a veth pair, with names, packet loss and silence on request.
// Needs root; nothing outside the namespaces changes.
import {randomBytes} from 'node:crypto';
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {run} from './child.js';
import {Scope} from './scope.js';

export interface Host {
  /** Name of the namespace: for `ChildOptions.namespace`. */
  namespace: string;
  address: string;
  /** Runs a program on this host. */
  run(command: string, ...args: string[]): Promise<string>;
}

export interface Wire {
  one: Host;
  two: Host;
  /** The network drops all packets between the hosts in both directions, without an answer. */
  cut(): Promise<void>;
  /** The network drops this share of the packets that arrive at either host. */
  lose(percent: number): Promise<void>;
  mend(): Promise<void>;
  /** The second host gets another address, as after a change of Wi-Fi. Nobody has the old one. */
  move(): Promise<void>;
}

/** Makes a pair of connected network devices with the given names. */
export type Join = (one: string, two: string) => Promise<unknown>;

const vethPair: Join = (one, two) => succeed(['ip', 'link', 'add', one, 'type', 'veth', 'peer', 'name', two]);

export interface HostOptions {
  namespace: string;
  address: string;
  /** More names in its /etc/hosts: name → address. */
  hosts?: Readonly<Record<string, string>>;
}

/** A namespace that has only loopback; it is gone when the scope ends. */
export async function addHost(scope: Scope, {namespace, address, hosts = {}}: HostOptions): Promise<Host> {
  await succeed(['ip', 'netns', 'add', namespace]);
  scope.onEnd(async () => void (await succeed(['ip', 'netns', 'delete', namespace])));
  const run = (...args: string[]) => succeed(['ip', 'netns', 'exec', namespace, ...args]);
  await run('ip', 'link', 'set', 'lo', 'up');
  // `ip netns exec` puts the files of this folder in place of those in /etc.
  const folder = `/etc/netns/${namespace}`;
  await mkdir(folder, {recursive: true});
  scope.onEnd(() => rm(folder, {recursive: true, force: true}));
  const lines = Object.entries(hosts).map(([name, at]) => `${at} ${name}\n`);
  await writeFile(`${folder}/hosts`, `127.0.0.1 localhost\n${lines.join('')}`);
  return {namespace, address, run};
}

/** Two hosts on one wire. Both know `names`, as in /etc/hosts: name → which host. */
export async function twoHosts(
  scope: Scope,
  names: Readonly<Record<string, 'one' | 'two'>> = {},
  join = vethPair,
): Promise<Wire> {
  const id = randomBytes(3).toString('hex');
  const subnet = `10.213.${1 + ((randomBytes(1)[0] ?? 0) % 254)}`;
  const known = {one: `${subnet}.1`, two: `${subnet}.2`};
  const hosts = Object.fromEntries(Object.entries(names).map(([name, of]) => [name, known[of]]));
  const host = (which: 'one' | 'two'): Promise<Host> =>
    addHost(scope, {namespace: `tunl-${id}-${which}`, address: known[which], hosts});
  const wire = {one: await host('one'), two: await host('two')};
  const ends = {one: `v${id}a`, two: `v${id}b`};
  await join(ends.one, ends.two);
  for (const which of ['one', 'two'] as const) {
    const {namespace, address, run: on} = wire[which];
    await succeed(['ip', 'link', 'set', ends[which], 'netns', namespace]);
    await on('ip', 'address', 'add', `${address}/24`, 'dev', ends[which]);
    await on('ip', 'link', 'set', ends[which], 'up');
    await on('nft', 'add table inet faults');
    await on('nft', 'add chain inet faults input { type filter hook input priority 0 ; }');
  }
  const both = async (rule: string) => {
    for (const which of ['one', 'two'] as const) await wire[which].run('nft', rule);
  };
  let moves = 0;
  const mend = () => both('flush chain inet faults input');
  return {
    ...wire,
    cut: async () => {
      for (const which of ['one', 'two'] as const) {
        await wire[which].run('nft', `add rule inet faults input iifname ${ends[which]} drop`);
      }
    },
    lose: async (percent) => {
      for (const which of ['one', 'two'] as const) {
        const rule = `iifname ${ends[which]} numgen random mod 100 < ${percent} drop`;
        await wire[which].run('nft', `add rule inet faults input ${rule}`);
      }
    },
    mend,
    move: async () => {
      const {two} = wire;
      await two.run('ip', 'address', 'flush', 'dev', ends.two, 'scope', 'global');
      await two.run('ip', 'address', 'add', `${subnet}.${2 + ++moves}/24`, 'dev', ends.two);
    },
  };
}

/** Runs a command that must exit with 0, and returns what it printed. */
export async function succeed([command = '', ...args]: string[]): Promise<string> {
  // A separate scope: the commands that remove everything run while the test's scope is ending.
  await using scope = new Scope();
  const {code, stdout, stderr} = await run(scope, command, args);
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')}: exit ${code}\n${stderr}`);
  return stdout;
}
