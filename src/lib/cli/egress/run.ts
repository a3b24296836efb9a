// `tunl egress run`: a command whose connections all leave by an egress.

import {TunlError} from '../../core/errors.js';
import {addressesOf, EgressClient} from '../../egress/client.js';
import {runByEgress, runByProxy} from '../../egress/run.js';
import {EGRESS_RUN_SETTINGS, EGRESS_SETTINGS, NO_SEAL_SETTINGS} from '../../egress/run-settings.js';
import {type OwnLinkFlags, openOwnLink, ownLinkFlags} from '../own-link.js';
import type {Presenter} from '../presenter.js';
import {carriage} from '../sealed-event.js';
import {flagsOf, type ValuesOf} from '../setting-flags.js';
import {stopSignal} from '../stop-signal.js';

export const egressRunFlags = {
  ...flagsOf({...EGRESS_SETTINGS, ...EGRESS_RUN_SETTINGS, ...NO_SEAL_SETTINGS}),
  ...ownLinkFlags,
};

export type EgressRunFlags = ValuesOf<typeof EGRESS_SETTINGS> &
  ValuesOf<typeof EGRESS_RUN_SETTINGS> &
  ValuesOf<typeof NO_SEAL_SETTINGS> &
  OwnLinkFlags;

/** Resolves to the exit code of the command. @throws TunlError the reason why it does not run, or was killed */
export async function runBehindEgress(
  command: readonly string[],
  flags: EgressRunFlags,
  presenter: Presenter,
): Promise<number> {
  const name = nameOf(flags);
  checkSealFlags(flags);
  using stop = stopSignal();
  const {signal} = stop;
  const linking = openOwnLink(flags, {presenter, signal});
  try {
    let addresses: string[] = [];
    const opening = linking.then(async (link) => {
      addresses = await addressesOf(link, name, signal);
      return new EgressClient(link, {egress: name, spread: flags.spread});
    });
    const isUnsealed = flags['no-seal'];
    const {code} = await (isUnsealed ? runByProxy : runByEgress)(opening, command, {
      localPorts: flags.local,
      strict: flags.seal === 'strict',
      log: presenter.log,
      onNotice: ({code: why, message}) => presenter.event({type: 'notice', code: why, message}),
      onStart: (udp) => {
        stop.release();
        const seal = isUnsealed ? 'none' : (flags.seal ?? 'network');
        presenter.event({type: 'sealed', seal, ...carriage(udp), egress: name, addresses});
      },
      onExit: () => stop.resume(),
      mirrorsSignals: true,
      signal,
    });
    return code;
  } finally {
    await linking.then(
      (link) => link.close(),
      () => {},
    );
  }
}

/** @throws TunlError USAGE */
function nameOf({via}: EgressRunFlags): string {
  if (via !== undefined && via !== '') return via;
  throw new TunlError('USAGE', {
    reason: 'No egress is named.',
    next: 'Give --via NAME; `tunl egress list` shows the names.',
  });
}

/** @throws TunlError USAGE */
function checkSealFlags({seal, local, 'no-seal': isUnsealed}: EgressRunFlags): void {
  if (!isUnsealed || (seal === undefined && local === undefined)) return;
  throw new TunlError('USAGE', {
    reason: `--${seal === undefined ? 'local' : 'seal'} is for a sealed command.`,
    next: 'Leave it out, or --no-seal.',
  });
}
