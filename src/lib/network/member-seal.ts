// A sealed network whose programs are a member of a private network: what they dial goes to the other members, and what the
// others dial arrives inside.

import type {Socket} from 'node:net';
import {setTimeout as wait} from 'node:timers/promises';
import {systemClock} from '../core/clock.js';
import {systemCode, TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import {openCommandSeal} from '../seal/run-sealed.js';
import type {Seal, SealOptions} from '../seal/seal.js';
import type {AcceptConnection, MemberId} from './connections.js';
import type {Membership} from './join-options.js';
import {datagramsToMembers} from './outgoing-datagrams.js';
import {type Notice, RunNotices} from './run-notices.js';

export interface MemberSealOptions {
  /**
   * The network besides the private one. Default: public addresses, by this machine. `none`: there is no other. Or a dialler of
   * the caller's.
   */
  readonly outside?: Pick<SealOptions, 'rules' | 'dialOut' | 'resolve' | 'datagramsOut'> | undefined;
  /** Ports of this machine's loopback that the programs reach at their own loopback. */
  readonly localPorts?: readonly number[] | undefined;
  /** Hears what a program could not do, and why. At a bounded rate. */
  readonly onNotice?: ((notice: Notice) => unknown) | undefined;
  /** The seal broke: what ran inside is killed. */
  readonly onLost?: ((detail: string) => void) | undefined;
  readonly log?: LogSink | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A program may open many: a crawler, or a test of load. */
const MOST_CONNECTIONS = 4_096;

/** A server that starts gets another try this often, ms. */
const AGAIN_MS = 100;

/** The caller closes the seal before the membership. @throws TunlError SEAL_UNAVAILABLE */
export async function openMemberSeal(
  membership: Pick<
    Membership,
    'prefix' | 'address' | 'name' | 'network' | 'members' | 'onMembers' | 'connect' | 'openFlow'
  >,
  {outside = {rules: {kind: 'internet'}}, localPorts, onNotice, onLost, log, signal}: MemberSealOptions = {},
): Promise<Seal> {
  const {prefix, address, name, network} = membership;
  const domain = `${network}.tunl.internal`;
  const notices = onNotice && new RunNotices(onNotice);
  const nameOf = (host: string) => membership.members.find((each) => each.address === host)?.name ?? host;
  const seal = await openCommandSeal({
    ...outside,
    // The machine's file may have domains to search, and a member's short name would be asked for there.
    ownResolvConf: true,
    localPorts,
    maxConnections: MOST_CONNECTIONS,
    log,
    signal,
    onLost,
    onUnreachable: (host, port, error) => notices?.failed(nameOf(host), port, error),
    onRefused: ({host, port, why}) => notices?.refused(host, port, why),
    member: {
      prefix,
      address,
      name,
      domain,
      dial: ({address: to, port}, gone) => membership.connect({to, port, signal: gone}),
      datagramsOut: datagramsToMembers(membership),
    },
    onMissed: notices && (async ({kind, port}) => kind === 'udp' && notices.missedUdp(port)),
  });
  notices?.setUdp(seal.udp);
  const tell = () =>
    seal.setHosts(
      membership.members.map((each) => ({
        address: each.address,
        names: [`${each.name}.${domain}`, each.name],
      })),
    );
  membership.onMembers(tell);
  tell();
  return seal;
}

export interface AcceptOptions {
  /** Whether this member may connect to this port. Default: all may. */
  readonly allows?: ((from: MemberId, port: number) => boolean) | undefined;
  /** How long a port where nothing listens yet is tried again, ms. Default: not at all. */
  readonly graceMs?: number | undefined;
}

/** The answer of a member whose connections end inside. The seal may still be on its way. */
export function acceptInto(
  sealing: Promise<Seal>,
  {allows, graceMs = 0}: AcceptOptions = {},
): AcceptConnection {
  return async (from, port, signal) => {
    if (allows?.(from, port) === false)
      throw new TunlError('NOT_ALLOWED', {reason: `This member takes no such connections at port ${port}.`});
    const seal = await sealing;
    const until = systemClock.now() + graceMs;
    const dial = (): Promise<Socket> => seal.dialInside({port, from: from.address, signal});
    for (;;) {
      try {
        return await dial();
      } catch (error) {
        if (systemCode(error) !== 'ECONNREFUSED' || systemClock.now() + AGAIN_MS > until) throw error;
      }
      await wait(AGAIN_MS, undefined, {signal});
    }
  };
}
