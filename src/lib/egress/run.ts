// Runs a command in a sealed network whose only way out is an egress: all its connections leave by the addresses of the egress,
// whatever its sockets know about proxies.

import {childEnv} from '../core/child-env.js';
import {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import {lastBytes, outstandingOf} from '../seal/last-bytes.js';
import {
  openCommandSeal,
  type RunSealedOptions,
  runSealed,
  runUnsealed,
  type SealedExit,
} from '../seal/run-sealed.js';
import type {Seal, SealOptions} from '../seal/seal.js';
import type {UdpState} from '../seal/udp/seal-udp.js';
import {type EgressClient, lookUpCodeOf} from './client.js';
import {datagramsByEgress} from './datagrams.js';
import {proxyEnv} from './proxy/proxy-env.js';
import {openProxy} from './proxy/proxy-port.js';
import {type Notice, RunNotices} from './run-notices.js';

export interface EgressSealOptions {
  /** Ports of this machine's loopback that the command reaches at its own loopback. */
  readonly localPorts?: readonly number[] | undefined;
  /** The command finds no sockets of this machine's services either: /run is empty. */
  readonly strict?: boolean | undefined;
  /** Hears what the command could not do, and why. At a bounded rate. */
  readonly onNotice?: ((notice: Notice) => void) | undefined;
  /** The seal broke: what ran inside is killed. */
  readonly onLost?: ((detail: string) => void) | undefined;
  readonly log?: LogSink | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface EgressRunOptions
  extends Pick<EgressSealOptions, 'localPorts' | 'strict' | 'onNotice' | 'log'>,
    Pick<RunSealedOptions, 'env' | 'cwd' | 'stdio' | 'signal' | 'mirrorsSignals'> {
  /** Everything is ready, and the command starts. `udp`: whether UDP leaves by the egress; undefined without a seal. */
  readonly onStart?: ((udp?: UdpState) => void) | undefined;
  /** The command has ended. What it has sent may still be on its way, and the signal ends the wait for that. */
  readonly onExit?: (() => void) | undefined;
}

/** A program may open many: a crawler, or a test of load. */
const MOST_CONNECTIONS = 4_096;

/**
 * A seal whose connections and look-ups go by an egress. It opens while the client is still on its way.
 *
 * @throws TunlError SEAL_UNAVAILABLE, or the reason why there is no client
 */
export async function openEgressSeal(
  opening: Promise<EgressClient>,
  {localPorts, strict, onNotice, onLost, log, signal}: EgressSealOptions,
): Promise<Seal> {
  const notices = onNotice && new RunNotices(onNotice, localPorts);
  const sealing = openCommandSeal({
    ...outsideByEgress(opening),
    datagramsOut: datagramsByEgress(opening),
    ownResolvConf: true,
    hidesRun: strict,
    localPorts,
    maxConnections: MOST_CONNECTIONS,
    log,
    signal,
    onLost,
    onMissed: notices && ((missed) => notices.missed(missed)),
    onUnreachable: (host, port, error) => notices?.failed(host, port, error),
    onRefused: ({host, why}) => why === 'limit' && notices?.full(host, MOST_CONNECTIONS),
  });
  try {
    // Both at once: a failure of one that comes while the other is awaited would be nobody's.
    const [client, seal] = await Promise.all([opening, sealing]);
    notices?.setUdp(udpOf(seal, client));
    return seal;
  } catch (error) {
    // The one that fails first ends the other.
    await sealing.then(
      (seal) => seal.close(),
      () => {},
    );
    throw error;
  }
}

/** Whether UDP leaves by the egress, or why not. */
export function udpOf(seal: Pick<Seal, 'udp'>, client: Pick<EgressClient, 'carriesUdp'>): UdpState {
  if (!client.carriesUdp)
    return {why: 'The relay carries no UDP.', mend: 'Ask its operator for a newer version.'};
  return seal.udp ?? {why: 'Nobody carries UDP here.', mend: 'Use TCP.'};
}

/** The options of a seal whose way out is an egress, beside others that it may have. */
export function outsideByEgress(
  opening: Promise<EgressClient>,
): Required<Pick<SealOptions, 'rules' | 'dialOut' | 'resolve'>> {
  return {
    rules: {kind: 'elsewhere'},
    resolve: async (name) => await lookUp(await opening, name),
    dialOut: async (target, gone) => {
      const host = target.kind === 'name' ? target.name : target.address;
      return await (await opening).connect({host, port: target.port}, {signal: gone});
    },
  };
}

/** The rule of the seal: a name that does not exist has no addresses. */
async function lookUp(client: EgressClient, name: string): Promise<readonly string[]> {
  try {
    return await client.resolve(name);
  } catch (error) {
    if (lookUpCodeOf(error) === 'ENOTFOUND') return [];
    throw error;
  }
}

/**
 * The command has this machine's network as always; variables ask it to use a proxy that leads to the egress.
 *
 * @throws TunlError PROGRAM_MISSING, FOLDER_MISSING, ABORTED, or the reason why there is no client
 */
export async function runByProxy(
  opening: Promise<EgressClient>,
  argv: readonly string[],
  {onStart, onNotice, env = childEnv(), ...options}: EgressRunOptions = {},
): Promise<SealedExit> {
  const notices = onNotice && new RunNotices(onNotice);
  const proxy = await openProxy(await opening, {
    onFailed: (error, destination) => notices?.failedAt(destination, error),
  });
  try {
    if (options.signal?.aborted) throw new TunlError('ABORTED');
    onStart?.();
    const {cwd, stdio, signal, mirrorsSignals = false} = options;
    return await runUnsealed(argv, {
      env: {...env, ...proxyEnv(proxy.url)},
      cwd,
      stdio,
      signal,
      mirrorsSignals,
    });
  } finally {
    await proxy.close();
  }
}

/**
 * Resolves at the end of the command, which has never had another way out.
 *
 * @throws TunlError SEAL_UNAVAILABLE, SEAL_LOST, PROGRAM_MISSING, FOLDER_MISSING, ABORTED, or the reason why there is no client
 */
export async function runByEgress(
  opening: Promise<EgressClient>,
  argv: readonly string[],
  {onStart, onExit, ...options}: EgressRunOptions = {},
): Promise<SealedExit> {
  const {env, cwd = process.cwd(), stdio, signal, mirrorsSignals = false} = options;
  const seal = await openEgressSeal(opening, options);
  try {
    if (signal?.aborted) throw new TunlError('ABORTED');
    onStart?.(udpOf(seal, await opening));
    const exit = await runSealed(seal, argv, {env, cwd, stdio, signal, mirrorsSignals});
    onExit?.();
    if (exit.signal === null) await seal.lastDatagrams();
    if (exit.signal === null) await lastBytes(() => outstandingOf(seal), signal);
    return exit;
  } finally {
    await seal.close();
  }
}
