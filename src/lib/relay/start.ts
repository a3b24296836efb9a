// `startRelay`: starts a relay with one call.

import {TunlError} from '../core/errors.js';
import type {RelayListener} from './events.js';
import type {Relay, RelayOptions} from './options.js';
import {type OpenRelayOptions, openRelay} from './relay.js';
import type {OtherSettings} from './reload.js';
import type {RunningRelay} from './running-relay.js';
import {type RelaySettings, settleRelayOptions} from './settings.js';

/**
 * Starts a relay and resolves when it listens.
 *
 * @throws TunlError OPTION_INVALID, NAME_INVALID, TOKEN_NEEDED, FILE_UNREADABLE, TOKEN_FILE_EMPTY, CERTIFICATE_INVALID,
 * KEY_MISMATCH, STATE_DIR, LISTEN_IN_USE, LISTEN_FORBIDDEN, LISTEN_FAILED, ABORTED.
 */
export async function startRelay(options: RelayOptions = {}): Promise<Relay> {
  return await startRunningRelay(options);
}

export interface StartOptions {
  listeners?: readonly RelayListener[];
  /** Reads the options for a reload. Default: those of the start. @throws TunlError */
  reread?: () => Promise<Reread>;
}

export interface Reread {
  options: RelayOptions;
  /** Settings of the caller that come from the same source. */
  others?: OtherSettings;
}

/** Like `startRelay`, with the parts of a relay that only this package uses. */
export async function startRunningRelay(
  options: RelayOptions,
  {listeners = [], reread = async () => ({options})}: StartOptions = {},
): Promise<RunningRelay> {
  const settings = await settleRelayOptions(options);
  const more = {
    listeners,
    reread: async () => {
      const {options: next, ...others} = await reread();
      return {settings: await settleRelayOptions(next), ...others};
    },
  };
  const relay = await (settings.workers > 1 ? openSeveral(settings, more) : openRelay(settings, more));
  const {signal} = options;
  if (signal?.aborted) {
    await relay.close();
    throw new TunlError('ABORTED');
  }
  signal?.addEventListener('abort', () => void relay.close(), {once: true});
  return relay;
}

/** Loaded only here: a relay of one process needs nothing of it. */
async function openSeveral(
  settings: RelaySettings,
  options: Omit<OpenRelayOptions, 'seat'>,
): Promise<RunningRelay> {
  const {openFirstProcess} = await import('./workers/first-process.js');
  return await openFirstProcess(settings, options);
}
