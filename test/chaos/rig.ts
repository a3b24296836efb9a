// The basis of every fault test: a relay and agents by the CLI, and a fault proxy on the link between them.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Authority, createAuthority} from '../helpers/certificates.js';
import type {Child} from '../helpers/child.js';
import {type Exposed, type ExposeOptions, expose, projectRoot} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {type RelayProcess, type RelayProcessOptions, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort, unusedPortRange} from '../helpers/scope.js';

export const long = process.env.TUNL_LONG === '1';

/** A number of the short form, or of the long one. */
export const sized = (short: number, full: number): number => (long ? full : short);

export const domain = 'r1.localhost';

/** Flags that give a relay its certificate, and the CA with its file for agents and visitors. */
export async function certificateFlags(
  scope: Scope,
): Promise<{flags: string[]; caFile: string; authority: Authority}> {
  const authority = await createAuthority();
  const leaf = await authority.issue([domain, `*.${domain}`]);
  const folder = await scope.tempDir('certificate');
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text, {mode: 0o600});
    return join(folder, name);
  };
  const flags = [
    '--cert-file',
    await file('cert.pem', leaf.cert),
    '--key-file',
    await file('key.pem', leaf.key),
  ];
  return {flags, caFile: await file('ca.pem', authority.cert), authority};
}

/** `NODE_OPTIONS` that makes a process load modules of test/helpers first. */
export const preload = (...names: readonly string[]): Record<string, string> => ({
  NODE_OPTIONS: names.map((name) => `--import=${projectRoot}test/helpers/${name}`).join(' '),
});

/** With this inspect-hook.js counts all timers. */
export const countTimers: Record<string, string> = {TUNL_COUNT_TIMERS: '1'};

export interface RigOptions extends RelayProcessOptions {
  /** Agents wait only for short times between attempts. */
  quickRetry?: boolean;
}

export interface Rig {
  relay: RelayProcess;
  /** Between agents and the relay; visitors connect directly to the relay. */
  proxy: FaultProxy;
  caFile: string;
  authority: Authority;
  /** The environment in which an agent finds the relay through the proxy. */
  env: Record<string, string>;
  /** `tunl expose TARGET --json` whose link goes through the proxy. */
  expose(target: number | string, options?: ExposeOptions): Promise<Exposed>;
}

export async function startRig(scope: Scope, options: RigOptions = {}): Promise<Rig> {
  const {flags, caFile, authority} = await certificateFlags(scope);
  const relay = await startRelayProcess(scope, {
    ...options,
    flags: [...flags, '--log-level', 'info', ...(options.flags ?? [])],
    env: {...preload('inspect-hook.js'), ...options.env},
  });
  // A proxy that refuses for a while listens on the same port afterwards.
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}, port: await unusedPort()});
  const hooks = options.quickRetry ? ['inspect-hook.js', 'quick-retry.js'] : ['inspect-hook.js'];
  const env = {
    ...preload(...hooks),
    TUNL_RELAY: `https://${domain}:${proxy.port}`,
    ...(options.withToken !== false && {TUNL_TOKEN: relay.token}),
    TUNL_CA_FILE: caFile,
  };
  const rig: Rig = {
    relay: {...relay, caFile},
    proxy,
    caFile,
    authority,
    env,
    expose: (target, more = {}) => expose(scope, target, {...more, env: {...rig.env, ...more.env}}),
  };
  return rig;
}

/** Fixed addresses for a relay that is started again: no other process gets these ports in between. */
export async function keptPorts(): Promise<{listen: string; tcpPorts: string}> {
  return {listen: `127.0.0.1:${await unusedPort()}`, tcpPorts: await unusedPortRange(8)};
}

export interface Inspection {
  /** The wall clock as the process sees it, ms. */
  now: number;
  heapUsed: number;
  external: number;
  arrayBuffers: number;
  rss: number;
  /** 0 without `countTimers`. */
  timers: number;
  descriptors: number;
}

/** The resources of a process now, after a garbage collection. It must have been started with inspect-hook.js. */
export async function inspect(child: Child): Promise<Inspection> {
  const before = [...child.stderr.matchAll(/"inspected":(\d+)/g)].length;
  child.signal('SIGUSR2');
  const [line] = await child.saidOnStderr(new RegExp(`\\{"inspected":${before + 1},.*\\}`));
  return JSON.parse(line) as Inspection;
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Milliseconds from now until the promise is fulfilled. */
export async function timed(what: Promise<unknown>): Promise<number> {
  const since = performance.now();
  await what;
  return performance.now() - since;
}
