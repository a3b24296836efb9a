// The link of a command without a tunnel: flags, and the events of the link on the screen.

import {LINK_SETTINGS} from '../agent/settings-table.js';
import type {ConnectionOptions, RelayLink} from '../open-link.js';
import {withContext} from './contexts.js';
import type {Presenter} from './presenter.js';
import {flagsOf, optionsOf, type ValuesOf} from './setting-flags.js';

/** There is no relay inside the process of such a command. */
const {defaultText: _, ...relay} = LINK_SETTINGS.relay;
export const OWN_LINK_SETTINGS = {...LINK_SETTINGS, relay};

export const ownLinkFlags = flagsOf(OWN_LINK_SETTINGS);

export type OwnLinkFlags = ValuesOf<typeof OWN_LINK_SETTINGS>;

/** @throws TunlError as `openLink` */
export async function openOwnLink(
  flags: OwnLinkFlags,
  {presenter, signal}: {presenter: Presenter; signal?: AbortSignal},
): Promise<RelayLink> {
  const {openLink} = await import('../open-link.js');
  const chosen = await withContext(flags, (text) => presenter.tell({tone: 'faint', text}));
  const options: ConnectionOptions = optionsOf(OWN_LINK_SETTINGS, chosen);
  return await openLink({...options, log: presenter.log, onEvent: presenter.event, signal});
}
