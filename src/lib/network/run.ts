// Runs a command as a member of a private network, as if it stood there alone.

import {childEnv} from '../core/child-env.js';
import {TunlError} from '../core/errors.js';
import {randomBytes} from '../core/node-crypto.js';
import {lastBytes, outstandingOf, sumOf} from '../seal/last-bytes.js';
import {checkCommand, type RunSealedOptions, runSealed, type SealedExit} from '../seal/run-sealed.js';
import type {Seal} from '../seal/seal.js';
import type {UdpState} from '../seal/udp/seal-udp.js';
import {IncomingDatagrams} from './incoming-datagrams.js';
import type {JoinOptions, Membership} from './join-options.js';
import {type AcceptOptions, acceptInto, type MemberSealOptions, openMemberSeal} from './member-seal.js';
import {joinNetwork} from './membership.js';

export interface NetworkRunOptions
  extends Omit<JoinOptions, 'accept' | 'signal' | 'log'>,
    AcceptOptions,
    Pick<MemberSealOptions, 'outside' | 'localPorts' | 'onNotice' | 'log'>,
    Pick<RunSealedOptions, 'env' | 'cwd' | 'stdio' | 'signal' | 'mirrorsSignals'> {
  /** False: the others cannot connect to the command. Default true. */
  readonly accepts?: boolean | undefined;
  /** Everything is ready, and the command starts. */
  readonly onStart?: ((membership: Membership, udp: UdpState | undefined) => void) | undefined;
  /** The command has ended. What it has sent may still be on its way, and the signal ends the wait for that. */
  readonly onExit?: (() => void) | undefined;
}

/** For a command that has no name of its own. */
export const newMemberName = (): string => `run-${randomBytes(4).toString('hex')}`;

/**
 * Resolves at the end of the command. The end of the membership ends the command: it gets SIGTERM, and SIGKILL 10 s later.
 *
 * @throws TunlError as `joinNetwork`, and SEAL_UNAVAILABLE, SEAL_LOST, PROGRAM_MISSING, FOLDER_MISSING
 */
export async function runInNetwork(argv: readonly string[], options: NetworkRunOptions): Promise<SealedExit> {
  const {accepts = true, onStart, onExit, cwd = process.cwd(), env = process.env, stdio, signal} = options;
  const {mirrorsSignals = false, allows, graceMs, localPorts, outside, onNotice, log, ...join} = options;
  // The others should not see a member that never starts.
  checkCommand(argv, {cwd, env});
  const sealing = Promise.withResolvers<Seal>();
  sealing.promise.catch(() => {});
  let seal: Seal | undefined;
  // The signal ends the start of the membership alone: a command that has to end still has its network meanwhile.
  const starting = new AbortController();
  const giveUp = () => starting.abort();
  signal?.addEventListener('abort', giveUp);
  if (signal?.aborted) giveUp();
  const started = () => signal?.removeEventListener('abort', giveUp);
  const membership = await joinNetwork({
    ...join,
    log,
    signal: starting.signal,
    ...(accepts && {
      accept: acceptInto(sealing.promise, {allows, graceMs}),
      takeFlow: new IncomingDatagrams({seal: () => seal, allows}).take,
    }),
  }).catch((error: unknown) => {
    started();
    throw error;
  });
  try {
    const own = await openMemberSeal(membership, {outside, localPorts, onNotice, log, signal});
    started();
    seal = own;
    sealing.resolve(own);
    if (signal?.aborted) throw new TunlError('ABORTED');
    const over = new AbortController();
    let why: TunlError | undefined;
    void membership.ended.then((error) => {
      why = error;
      over.abort();
    });
    onStart?.(membership, own.udp);
    const stop = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
    const exit = await runSealed(own, argv, {
      cwd,
      env: {...childEnv(env), ...memberEnv(membership)},
      stdio,
      signal: stop,
      mirrorsSignals,
    });
    onExit?.();
    if (why !== undefined && signal?.aborted !== true) throw why;
    if (exit.signal === null) await own.lastDatagrams();
    if (exit.signal === null)
      await lastBytes(() => sumOf([membership.outstanding, outstandingOf(own)]), stop);
    return exit;
  } catch (error) {
    sealing.reject(error);
    throw error;
  } finally {
    started();
    await seal?.close();
    await membership.close();
  }
}

/** Programs that compute together look for the interface by its name. */
function memberEnv({address, name, network}: Membership): NodeJS.ProcessEnv {
  return {TUNL_I6PN_ADDR: address, TUNL_MEMBER: name, TUNL_NETWORK: network};
}
