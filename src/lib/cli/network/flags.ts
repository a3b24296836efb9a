// The common flags of the commands for private networks: the relay, by flags or the current context.

import {LINK_SETTINGS} from '../../agent/settings-table.js';
import type {ConnectionOptions} from '../../open-link.js';
import {checkRelayFlags} from '../combinations.js';
import {withContext} from '../contexts.js';
import type {Presenter} from '../presenter.js';
import {flagsOf, optionsOf} from '../setting-flags.js';
import type {LinkFlags} from '../tunnel-flags.js';

/** Members meet at a relay, so there is none inside this process. */
export const networkLinkFlags = flagsOf({
  ...LINK_SETTINGS,
  relay: {...LINK_SETTINGS.relay, defaultText: 'that of the current context'},
});

/** @throws TunlError USAGE, RELAY_URL_INVALID, CONTEXT_UNKNOWN */
export async function linkOptions(given: LinkFlags, presenter: Presenter): Promise<ConnectionOptions> {
  const flags = await withContext(given, (text) => presenter.tell({tone: 'faint', text}));
  checkRelayFlags(flags);
  return optionsOf(LINK_SETTINGS, flags);
}
