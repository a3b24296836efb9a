// `tunl net run`: a command that is a member of a private network.

import {TunlError} from '../../core/errors.js';
import {usableState} from '../../core/usable-state.js';
import {allowsIn, readInRule} from '../../network/allow-in.js';
import {outsideOf} from '../../network/outside.js';
import {newMemberName, runInNetwork} from '../../network/run.js';
import {NET_RUN_SETTINGS} from '../../network/run-settings.js';
import {directOf, MEMBER_SETTINGS} from '../../network/settings.js';
import {openLink} from '../../open-link.js';
import type {Presenter} from '../presenter.js';
import {carriage} from '../sealed-event.js';
import {flagsOf, type ValuesOf} from '../setting-flags.js';
import {stopSignal} from '../stop-signal.js';
import type {LinkFlags} from '../tunnel-flags.js';
import {linkOptions, networkLinkFlags} from './flags.js';

const MEMBER = {
  ...MEMBER_SETTINGS,
  name: {...MEMBER_SETTINGS.name, defaultText: 'a new one, for this run'},
};

export const netRunFlags = {...flagsOf({...MEMBER, ...NET_RUN_SETTINGS}), ...networkLinkFlags};

export type NetRunFlags = ValuesOf<typeof MEMBER> & ValuesOf<typeof NET_RUN_SETTINGS> & LinkFlags;

/** Resolves to the exit code of the command. @throws TunlError the reason why it does not run, or was killed */
export async function runAsMember(
  command: readonly string[],
  {network, flags, presenter}: {network: string; flags: NetRunFlags; presenter: Presenter},
): Promise<number> {
  const {name, ephemeral, local, isolated, egress, 'dial-grace': graceMs, 'trust-relay': trustRelay} = flags;
  const rules = (flags['allow-in'] ?? []).map(readInRule);
  if (isolated && egress !== undefined)
    throw new TunlError('USAGE', {
      reason: '--isolated and --egress contradict each other.',
      next: 'Give one of them.',
    });
  using stop = stopSignal();
  const {signal} = stop;
  const options = await linkOptions(flags, presenter);
  await using link = await openLink({
    ...options,
    features: ['member'],
    signal,
    log: presenter.log,
    onEvent: presenter.event,
  });
  const outside = await outsideOf(link, {isolated, egress}, signal);
  const {code} = await runInNetwork(command, {
    link,
    network,
    name: name ?? newMemberName(),
    // A name that is chosen keeps its address.
    key: name === undefined || ephemeral ? 'ephemeral' : {stateDir: options.stateDir ?? usableState().path},
    trustRelay,
    direct: directOf(flags),
    allows: (from, port) => allowsIn(rules, from, port),
    graceMs,
    localPorts: local,
    outside,
    log: presenter.log,
    onNotice: ({code: why, message}) => presenter.event({type: 'notice', code: why, message}),
    onStart: ({address, prefix, name: own}, udp) => {
      // From here on signals are for the command.
      stop.release();
      presenter.event({
        type: 'network',
        network,
        name: own,
        address,
        prefix,
        outside: isolated ? 'none' : egress === undefined ? 'internet' : 'egress',
        ...carriage(udp),
        ...(egress !== undefined && {egress}),
      });
    },
    onExit: () => stop.resume(),
    mirrorsSignals: true,
    signal,
  });
  return code;
}
