// Two machines in one private network: network namespaces on one wire, with a relay on the first one. The programs of the second
// machine belong to an ordinary user. Needs root; nothing outside the namespaces changes.
import {chown, copyFile, mkdir, writeFile} from 'node:fs/promises';
import {Child} from './child.js';
import {entry} from './cli.js';
import {twoHosts, type Wire} from './net-ns.js';
import {type RelayProcess, startRelayProcess} from './relay.js';
import type {Scope} from './scope.js';
import {type Device, withDevice} from './tun-device.js';

export type Machine = 'one' | 'two';

const RELAY = 'r1.example.test';
const USER = 1_000;
/** The name of that user on the second machine. */
export const LOGIN = 'member';
const AS_USER = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--'];

export interface MemberChild {
  child: Child;
  name: string;
  address: string;
  /** Of an `ip netns exec` before it, if it is run so. */
  event(type: string): Promise<Record<string, unknown>>;
}

export interface RunOptions {
  flags?: readonly string[];
  name?: string;
  /** A state folder for this member alone. Default: that of the machine. */
  stateDir?: string;
  cwd?: string;
  /** Default: that of this machine. */
  device?: Device;
  /** Leave stdin open for the test to write to. */
  stdin?: boolean;
}

export class NetMachines {
  readonly wire: Wire;
  readonly relay: RelayProcess;
  readonly #folders: Record<Machine, string>;

  private constructor(wire: Wire, relay: RelayProcess, folders: Record<Machine, string>) {
    this.wire = wire;
    this.relay = relay;
    this.#folders = folders;
  }

  static async start(scope: Scope, flags: readonly string[] = []): Promise<NetMachines> {
    const wire = await twoHosts(scope, {[RELAY]: 'one'});
    const relay = await startRelayProcess(scope, {
      domain: RELAY,
      listen: '0.0.0.0:443',
      namespace: wire.one.namespace,
      flags,
    });
    // Its user can log in there, whoever has the number on this machine.
    await writeFile(
      `/etc/netns/${wire.two.namespace}/passwd`,
      `root:x:0:0::/root:/bin/sh\n${LOGIN}:x:${USER}:${USER}::/tmp:/bin/sh\nsshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n`,
    );
    const folders = {one: '', two: ''};
    for (const machine of ['one', 'two'] as const) {
      folders[machine] = await scope.tempDir(machine);
      await copyFile(relay.caFile, `${folders[machine]}/ca.pem`);
      await mkdir(`${folders[machine]}/tmp`);
      await chownTo(machine, folders[machine], `${folders[machine]}/ca.pem`, `${folders[machine]}/tmp`);
    }
    return new NetMachines(wire, relay, folders);
  }

  /** A folder that programs of this machine may write to. */
  async folder(scope: Scope, machine: Machine): Promise<string> {
    const folder = await scope.tempDir('files');
    await chownTo(machine, folder);
    return folder;
  }

  /** `tunl net …` on this machine. */
  tunl(
    scope: Scope,
    machine: Machine,
    words: readonly string[],
    {stateDir, cwd, device, stdin}: RunOptions = {},
  ): Child {
    const folder = this.#folders[machine];
    const command = [
      ...(device === undefined ? [] : withDevice(device)),
      ...(machine === 'two' ? AS_USER : []),
      process.execPath,
      entry,
      ...words,
    ];
    return Child.start(scope, command[0] ?? '', command.slice(1), {
      namespace: this.wire[machine].namespace,
      name: `tunl ${words.join(' ')} on ${machine}`,
      ...(cwd !== undefined && {cwd}),
      ...(stdin !== undefined && {stdin}),
      env: {
        ...this.relay.env,
        TUNL_CA_FILE: `${folder}/ca.pem`,
        TUNL_STATE_DIR: stateDir ?? folder,
        HOME: folder,
        // Members of one user find each other by the folder for temporary files: these are two machines.
        TMPDIR: `${folder}/tmp`,
      },
    });
  }

  /** A command that is a member. Resolves when it has started. */
  async member(
    scope: Scope,
    machine: Machine,
    argv: readonly string[],
    {flags = [], name, ...more}: RunOptions = {},
  ): Promise<MemberChild> {
    const named = name === undefined ? [] : ['--name', name];
    const words = ['net', 'run', 'lab', '--json', ...named, ...flags, '--', ...argv];
    const child = this.tunl(scope, machine, words, more);
    const event = async (type: string) => {
      const [line] = await child.saidOnStderr(new RegExp(`^\\{"type":"${type}".*\\}$`, 'm'));
      return JSON.parse(line) as Record<string, unknown>;
    };
    const joined = await event('network');
    return {child, event, name: String(joined.name), address: String(joined.address)};
  }

  /** A command to its end. @throws when its exit code is not 0 */
  async run(
    scope: Scope,
    machine: Machine,
    argv: readonly string[],
    options: RunOptions = {},
  ): Promise<{stdout: string; stderr: string; address: string}> {
    const {child, address} = await this.member(scope, machine, argv, options);
    const {code, stdout, stderr} = await child.finished();
    if (code !== 0) throw new Error(`${argv.join(' ')}: exit ${code}\n${stdout}\n${stderr}`);
    return {stdout, stderr, address};
  }
}

async function chownTo(machine: Machine, ...paths: string[]): Promise<void> {
  if (machine === 'two') for (const path of paths) await chown(path, USER, USER);
}
