// `run` of the library: a command as a member of its own.

import type {LogSink} from '../core/logger.js';
import {usableState} from '../core/usable-state.js';
import type {RelayLink} from '../open-link.js';
import type {SealedExit} from '../seal/run-sealed.js';
import {allowsIn, readInRule} from './allow-in.js';
import type {DirectOptions} from './direct-door.js';
import {checkNames} from './network-names.js';
import {checkOutside, type OutsideOptions, outsideOf} from './outside.js';
import {type NetworkRunOptions, newMemberName, runInNetwork} from './run.js';

/** The address of a command in its network. */
export interface MemberStart {
  name: string;
  address: string;
  prefix: string;
}

export interface MemberRunOptions
  extends OutsideOptions,
    Pick<
      NetworkRunOptions,
      'env' | 'cwd' | 'stdio' | 'signal' | 'mirrorsSignals' | 'localPorts' | 'onNotice'
    > {
  /** The member's name, with a key that is kept in the state folder. Default: a new name and key, for this command. */
  name?: string;
  /** A member whose key, and with it its address, is for this command. Default false. */
  ephemeral?: boolean;
  /** As in `NetworkOptions`. */
  allowIn?: readonly string[];
  direct?: boolean | DirectOptions;
  trustRelay?: boolean;
  /** How long a connection of another member waits for the command to listen, ms. Default 0. */
  dialGraceMs?: number;
  /** The command starts now: it is a member. */
  onStart?: (member: MemberStart) => void;
}

interface RunPlace {
  network: string;
  link: RelayLink;
  stateDir: string | undefined;
  log: LogSink | undefined;
}

/** @throws TunlError as `runInNetwork`, and NETWORK_INVALID, OPTION_INVALID, EGRESS_UNKNOWN */
export async function runAsMember(
  argv: readonly string[],
  options: MemberRunOptions,
  {network, link, stateDir, log}: RunPlace,
): Promise<SealedExit> {
  const {name, ephemeral = false, allowIn = [], isolated, egress, dialGraceMs, onStart, ...more} = options;
  checkNames(network, name);
  checkOutside({isolated, egress});
  const rules = allowIn.map(readInRule);
  return await runInNetwork(argv, {
    ...more,
    link,
    log,
    network,
    name: name ?? newMemberName(),
    key: name === undefined || ephemeral ? 'ephemeral' : {stateDir: stateDir ?? usableState().path},
    allows: (from, port) => allowsIn(rules, from, port),
    graceMs: dialGraceMs,
    outside: await outsideOf(link, {isolated, egress}, options.signal),
    onStart: onStart && (({name: own, address, prefix}) => onStart({name: own, address, prefix})),
  });
}
